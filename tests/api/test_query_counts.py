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

COUNTS: dict[str, dict[str, int]] = json.loads((Path(__file__).parent / "query_counts.json").read_text())
BASELINE, BESIDE = COUNTS["sessions"], COUNTS["beside"]
BEARER = {"type": "static_bearer", "token": "a-long-enough-token", "mcp_server_url": "https://a.example.com"}
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


@pytest.fixture
def kept(alice: Caller, many: dict[str, str]) -> dict[str, str]:
    """What stays beside sessions, several of each; the values of the paths below."""
    for number in range(3):
        vault = alice.post("/vaults", {"display_name": "V"})["id"]
        store = alice.post("/memory_stores", {"name": "M"})["id"]
        profile = alice.post("/user_profiles", {})["id"]
        deployment = alice.post("/deployments", deployed(many))["id"]
        memory = alice.post(f"/memory_stores/{store}/memories", {"path": f"/{number}", "content": "a"})["id"]
        credential = alice.post(f"/vaults/{vault}/credentials", {"auth": BEARER})["id"]
    made = {"vault": vault, "store": store, "profile": profile, "deployment": deployment}
    return {**many, **made, "memory": memory, "credential": credential}


def deployed(named: dict[str, str]) -> dict[str, Any]:
    references = {"agent": named["agent"], "environment_id": named["environment"]}
    return {"name": "D", **references, "initial_events": [HELLO]}


def test_the_statements_of_what_stays_beside_sessions_are_as_committed(alice: Caller, kept: dict[str, str]) -> None:
    asked: list[tuple[str, str, Any]] = [
        ("GET", "/environments/{environment}", None),
        ("POST", "/environments", {"name": "n"}),
        ("POST", "/environments/{environment}", {"description": "d"}),
        ("GET", "/vaults", None),
        ("GET", "/vaults/{vault}", None),
        ("POST", "/vaults", {"display_name": "n"}),
        ("GET", "/vaults/{vault}/credentials", None),
        ("GET", "/vaults/{vault}/credentials/{credential}", None),
        ("POST", "/vaults/{vault}/credentials", {"auth": {**BEARER, "mcp_server_url": "https://b.example.com"}}),
        ("GET", "/memory_stores", None),
        ("POST", "/memory_stores", {"name": "n"}),
        ("GET", "/memory_stores/{store}/memories", None),
        ("GET", "/memory_stores/{store}/memories/{memory}", None),
        ("POST", "/memory_stores/{store}/memories", {"path": "/b", "content": "b"}),
        ("POST", "/memory_stores/{store}/memories/{memory}", {"content": "c"}),
        ("GET", "/memory_stores/{store}/memory_versions", None),
        ("GET", "/user_profiles", None),
        ("POST", "/user_profiles", {}),
        ("GET", "/deployments", None),
        ("GET", "/deployments/{deployment}", None),
        ("POST", "/deployments", deployed(kept)),
        ("GET", "/deployment_runs", None),
        ("GET", "/sessions/{session}/resources", None),
        ("GET", "/skills", None),
        ("GET", "/dreams", None),
        ("GET", "/organizations/webhooks", None),
        ("GET", "/x/audit", None),
        ("GET", "/x/approvals", None),
        ("GET", "/x/limits", None),
    ]
    found = {f"{method} {path}": count(alice, method, path.format(**kept), body) for method, path, body in asked}
    assert found == BESIDE


@pytest.mark.parametrize("path", ["/agents", "/environments", "/sessions", "/vaults", "/memory_stores", "/deployments"])
def test_lists_cost_the_same_however_long(alice: Caller, kept: dict[str, str], path: str) -> None:
    assert count(alice, "GET", f"{path}?limit=1") == count(alice, "GET", f"{path}?limit=100")
