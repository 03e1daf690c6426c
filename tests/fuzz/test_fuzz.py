"""Whatever is sent to the API, it answers in time, in its own words, and never with a 500.

Requests come from the OpenAPI document, right ones and wrong ones; half of them name objects that exist. `make test`
runs a few of each operation, always the same; `make fuzz` runs many, different each time (`FUZZ_EXAMPLES`).
"""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
import requests
import schemathesis
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from tests.api.conftest import Caller, caller
from tests.specification import DOCUMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
FEW = 3
HANGS_AFTER_SECONDS = 120
SERVER = "http://testserver"
ENDLESS = ("events.stream",)  # these answer as long as the session lives
FOUND = [found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations() if isinstance(found, Ok)]
OPERATIONS = {operation.definition.raw["operationId"]: operation for operation in FOUND}
NAMES = sorted(name for name in OPERATIONS if not name.endswith(ENDLESS))
GROUPS = [NAMES[start::8] for start in range(8)]


@pytest.fixture
def alice(db: None) -> Caller:
    return caller("alice")


@pytest.fixture
def world(alice: Caller, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Any) -> dict[str, str]:
    """Objects that requests can name: the values of path and body fields."""
    from sessions import tasks

    settings.HOLDFAST_BLOB_DIR = tmp_path / "blobs"
    for name in ("run_thread", "keep_workspace", "discard_sandbox"):
        monkeypatch.setattr(getattr(tasks, name), "delay", lambda object_id: None)
    agent = alice.post("/agents", {"name": "A", "model": "demo", "tools": [{"type": "agent_toolset_20260401"}]})["id"]
    environment = alice.post("/environments", {"name": "E"})["id"]
    session = alice.post("/sessions", {"agent": agent, "environment_id": environment})["id"]
    store = alice.post("/memory_stores", {"name": "M"})["id"]
    memory = alice.post(f"/memory_stores/{store}/memories", {"path": "/a.md", "content": "a"})["id"]
    vault = alice.post("/vaults", {"display_name": "V"})["id"]
    return {
        "agent": agent,
        "agent_id": agent,
        "environment_id": environment,
        "session_id": session,
        "thread_id": alice.get(f"/sessions/{session}/threads")["data"][0]["id"],
        "store_id": store,
        "memory_store_id": store,
        "memory_id": memory,
        "version_id": alice.get(f"/memory_stores/{store}/memory_versions")["data"][0]["id"],
        "vault_id": vault,
        "profile_id": alice.post("/user_profiles", {})["id"],
    }


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """A request that hangs fails its test."""

    def give_up(number: int, frame: Any) -> None:
        raise AssertionError(f"no answer within {HANGS_AFTER_SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, give_up)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("names", GROUPS, ids=[f"group {number}" for number in range(len(GROUPS))])
def test_no_request_makes_a_500_or_hangs(names: list[str], alice: Caller, world: dict[str, str]) -> None:
    for name in names:
        _fuzz(OPERATIONS[name], alice, world)


def _fuzz(operation: Any, alice: Caller, world: dict[str, str]) -> None:
    cases = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    @settings(
        max_examples=EXAMPLES or FEW,
        derandomize=not EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if EXAMPLES else [Phase.generate],
    )
    @given(case=cases, real=st.booleans())
    def answers(case: Any, real: bool) -> None:
        if real:
            _name_what_is_there(case, world)
        with transaction.atomic():
            _check(_send(case, alice), case)
            transaction.set_rollback(True)

    answers()


def _name_what_is_there(case: Any, world: dict[str, str]) -> None:
    for holder in (case.path_parameters, case.body):
        if isinstance(holder, dict):
            holder.update({name: world[name] for name in holder.keys() & world.keys()})


def _send(case: Any, alice: Caller) -> Any:
    asked = case.as_transport_kwargs(base_url=SERVER)
    fields = ("method", "url", "headers", "params", "json", "data", "files")
    prepared = requests.Request(**{field: asked[field] for field in fields if field in asked}).prepare()
    headers = {name: str(value) for name, value in prepared.headers.items() if name.lower() != "content-length"}
    headers["authorization"] = f"Bearer {alice.key}"
    body = prepared.body or b""
    data = body.encode() if isinstance(body, str) else body
    kind = headers.pop("Content-Type", "application/json")
    path = str(prepared.url).removeprefix(SERVER)
    client = Client(raise_request_exception=False)
    signal.alarm(HANGS_AFTER_SECONDS)
    return client.generic(str(prepared.method), path, data, content_type=kind, headers=headers)


def _check(response: Any, case: Any) -> None:
    asked = f"{case.method} {case.formatted_path} {case.query} {case.body!r}"[:2_000]
    assert response.status_code < 500, asked
    if response.status_code >= 400:
        body = json.loads(response.content)
        assert body["type"] == "error", asked
        assert body["error"]["message"], asked
