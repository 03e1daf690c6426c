"""How many statements an operation takes, fixed in `query_counts.json`; lists must not cost more with more rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

if TYPE_CHECKING:
    from tests.api.conftest import Caller

BASELINE: dict[str, int] = json.loads((Path(__file__).parent / "query_counts.json").read_text())
HELLO = {"type": "user.message", "content": [{"type": "text", "text": "hello"}]}


def count(alice: Caller, method: str, path: str, body: Any = None) -> int:
    alice.get("/agents")  # the key's last use is noted now, so that the counted request doesn't
    with CaptureQueriesContext(connection) as queries:
        alice.ok(method, path, body)
    return len(queries)


@pytest.fixture
def many(alice: Caller, agent: str, environment: str) -> dict[str, str]:
    body = {"agent": agent, "environment_id": environment}
    sessions = [alice.post("/sessions", body)["id"] for _ in range(4)]
    for number in range(3):
        alice.post("/agents", {"name": f"A{number}", "model": "m"})
        alice.post(f"/sessions/{sessions[-1]}", {"title": str(number)})
    return {"agent": agent, "environment": environment, "session": sessions[-1]}


def test_the_statements_of_each_operation_are_as_committed(alice: Caller, many: dict[str, str]) -> None:
    session, new = f"/sessions/{many['session']}", {"agent": many["agent"], "environment_id": many["environment"]}
    found = {
        "GET /agents": count(alice, "GET", "/agents"),
        "GET /agents/{id}": count(alice, "GET", f"/agents/{many['agent']}"),
        "POST /agents": count(alice, "POST", "/agents", {"name": "n", "model": "m"}),
        "POST /agents/{id}": count(alice, "POST", f"/agents/{many['agent']}", {"name": "n"}),
        "GET /environments": count(alice, "GET", "/environments"),
        "GET /sessions": count(alice, "GET", "/sessions"),
        "GET /sessions/{id}": count(alice, "GET", session),
        "GET /sessions/{id}/events": count(alice, "GET", f"{session}/events"),
        "GET /sessions/{id}/threads": count(alice, "GET", f"{session}/threads"),
        "GET /files": count(alice, "GET", "/files"),
        "POST /sessions": count(alice, "POST", "/sessions", new),
        "POST /sessions/{id}": count(alice, "POST", session, {"title": "x"}),
        "POST /sessions/{id}/events": count(alice, "POST", f"{session}/events", {"events": [HELLO]}),
    }
    assert found == BASELINE


@pytest.mark.parametrize("path", ["/agents", "/environments", "/sessions"])
def test_lists_cost_the_same_however_long(alice: Caller, many: dict[str, str], path: str) -> None:
    assert count(alice, "GET", f"{path}?limit=1") == count(alice, "GET", f"{path}?limit=100")
