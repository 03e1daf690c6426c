# Needs python3 (3.11 or newer, with venv; PYTHON=… chooses one) and make; everything else is installed into .venv from the lock files.
ROOT := $(patsubst %/,%,$(dir $(realpath $(lastword $(MAKEFILE_LIST)))))
VENV ?= $(ROOT)/.venv
PYTHON ?= $(shell $(ROOT)/scripts/python.sh)
PY := $(VENV)/bin/python
PIP_INSTALL := $(PY) -m pip install -qq --disable-pip-version-check --no-input
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
ARGS ?=
PROCESSES ?= 3
.DEFAULT_GOAL := help
.PHONY: help run test tools js lint format types bench chaos fuzz openapi messages screens compatibility vendor lock load

help: ## what can be made
	@grep -hE '^[a-z]+:.*## ' $(ROOT)/Makefile | sed -E 's/^([a-z]+):.*## (.*)$$/  make \1\t\2/' | expand -t 18

run: $(RUN_STAMP) ## everything in one process tree; prints the address, a sign-in and an API key
	@exec $(PY) $(ROOT)/manage.py up $(ARGS)

test: $(DEV_STAMP) js ## the tests, three at a time on two processors (ARGS="-k name" for some of them)
	@cd $(ROOT) && $(PY) -m pytest -n $(PROCESSES) $(ARGS)

tools: $(DEV_STAMP) js ## install what the tests need, and run none

js: ## the JavaScript SDK and MCP servers that some tests use; without npm or a network they are skipped by name
	@if command -v npm >/dev/null && [ ! -d $(ROOT)/tests/js/node_modules/@modelcontextprotocol/server-everything ]; then \
		cd $(ROOT)/tests/js && npm ci --no-audit --no-fund --silent || echo "the packages of tests/js could not be installed"; fi

fuzz: $(DEV_STAMP) ## many random requests of each kind to the API (FUZZ_EXAMPLES=100); none may end in a 500 or hang
	@cd $(ROOT) && FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-100} $(PY) -m pytest -n 2 tests/fuzz $(ARGS)

lint: $(DEV_STAMP) ## style
	@cd $(ROOT) && $(PY) -m ruff check . && $(PY) -m ruff format --check .

format: $(DEV_STAMP) ## rewrite to the style
	@cd $(ROOT) && $(PY) -m ruff check --fix . ; $(PY) -m ruff format .

types: $(DEV_STAMP) ## mypy, strict
	@cd $(ROOT) && $(PY) -m mypy .

bench: $(DEV_STAMP) ## figures beside their bars
	@cd $(ROOT) && $(PY) -m tests.bench $(ARGS)

load: $(DEV_STAMP) ## what docs/scaling.md claims, one load at a time (ARGS=events; ARGS=-h lists them)
	@cd $(ROOT) && $(PY) -m tests.load $(ARGS)

chaos: $(DEV_STAMP) ## kill processes at random and audit what remains
	@cd $(ROOT) && $(PY) -m tests.chaos $(ARGS)

messages: $(RUN_STAMP) ## gather the sentences to translate into locale/ (LANG_CODE=de)
	@cd $(ROOT) && $(PY) manage.py makemessages -l $(or $(LANG_CODE),de) --no-location -i .venv -i var -i tests

screens: $(DEV_STAMP) ## take the pictures in docs/screens anew, of an installation of its own
	@cd $(ROOT) && $(PY) -m tests.screens

openapi: $(RUN_STAMP) ## write docs/openapi.json
	@mkdir -p $(ROOT)/docs && cd $(ROOT) && $(PY) manage.py openapi > docs/openapi.json.draft && mv docs/openapi.json.draft docs/openapi.json

compatibility: $(DEV_STAMP) ## write docs/compatibility.md from the SDK and the tests' marks
	@cd $(ROOT) && $(PY) -m tests.sdk.compatibility > docs/compatibility.md.draft && mv docs/compatibility.md.draft docs/compatibility.md

vendor: $(DEV_STAMP) ## fetch the front-end files and check their hashes
	@cd $(ROOT) && $(PY) scripts/vendor.py $(ARGS)

lock: $(DEV_STAMP) ## write the lock files anew from pyproject.toml
	@PATH="$(VENV)/bin:$$PATH" $(ROOT)/scripts/lock.sh

$(PY):
	@$(PYTHON) $(ROOT)/scripts/check_python.py
	@$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): $(ROOT)/requirements.lock | $(PY)
	@echo "installing into $(VENV) (once; about a minute)"
	@$(PIP_INSTALL) -r $(ROOT)/requirements.lock
	@touch $@

$(DEV_STAMP): $(ROOT)/requirements-dev.lock | $(PY)
	@echo "installing the development tools into $(VENV) (once)"
	@$(PIP_INSTALL) -r $(ROOT)/requirements-dev.lock
	@touch $@ $(RUN_STAMP)
