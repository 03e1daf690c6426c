#!/usr/bin/env bash
# Write requirements.lock (what runs) and requirements-dev.lock (what runs, and what tests it) from pyproject.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
note='# Made by `make lock` from pyproject.toml: the exact versions that were tested together. Do not edit.'
compile() {
  local out=$1
  shift
  uv pip compile --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet \
    "$@" pyproject.toml -o "$out"
  sed -i "1i $note" "$out"
}
compile requirements.lock --extra embedded
compile requirements-dev.lock --extra embedded --extra dev -c requirements.lock
