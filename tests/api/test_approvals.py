"""``/v1/x/approvals``: the inbox over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from agents.models import Workspace
from contract.roles import Role
from sessions.models import Session
from tests.api.conftest import Caller, caller
from tests.api.test_borders import asks


@pytest.fixture
def waiting(alice: Caller, session: dict[str, Any]) -> list[str]:
    row = Session.objects.get(pk=session["id"])
    return [asks(row), asks(row)]


def test_what_waits_is_listed_and_read(alice: Caller, charlie: Caller, waiting: list[str]) -> None:
    page = alice.get("/x/approvals?state=waiting&limit=1")
    assert [one["id"] for one in page["data"]] == [waiting[1]]
    rest = alice.get(f"/x/approvals?state=waiting&limit=1&page={page['next_page']}")
    assert [one["id"] for one in rest["data"]] == [waiting[0]]
    shown = alice.get(f"/x/approvals/{waiting[0]}")
    assert (shown["tool"], shown["input"], shown["state"]) == ("bash", {"command": "ls"}, "waiting")
    assert alice.get("/x/approvals?tool=read")["data"] == []
    assert charlie.get("/x/approvals")["data"] == []


def test_a_call_is_changed_allowed_and_remembered(alice: Caller, session: dict[str, Any], waiting: list[str]) -> None:
    body = {"result": "allow", "input": {"command": "ls -la"}, "remember": {"scope": "session"}}
    decided = alice.post(f"/x/approvals/{waiting[0]}/decide", body)
    assert (decided["state"], decided["decided_by"]) == ("allowed", "API key alice")
    assert decided["edited_input"] == {"command": "ls -la"}
    rules = alice.get(f"/sessions/{session['id']}")["holdfast"]["remembered_rules"]
    assert rules == [{"effect": "allow", "tool": "bash", "command_prefix": "ls -la"}]
    again = alice.refused("POST", f"/x/approvals/{waiting[0]}/decide", {"result": "deny"})
    assert (again.status, again.type) == (409, "conflict_error")
    assert "by API key alice" in again.message


def test_several_are_decided_alike(alice: Caller, waiting: list[str]) -> None:
    answer = alice.post("/x/approvals/decide", {"ids": [*waiting, "sevt_none"], "result": "deny", "message": "No."})
    assert [one["error"] is None for one in answer["data"]] == [True, True, False]
    assert answer["data"][2]["error"]["type"] == "not_found_error"
    assert {one["message"] for one in alice.get("/x/approvals?state=denied")["data"]} == {"No."}


def test_bad_decisions_name_the_field(alice: Caller, waiting: list[str]) -> None:
    path = f"/x/approvals/{waiting[0]}/decide"
    for body, named in (
        ({}, "result"),
        ({"result": "maybe"}, "result"),
        ({"result": "allow", "input": "ls"}, "input"),
        ({"result": "allow", "remember": {"scope": "world"}}, "remember.scope"),
        ({"result": "deny", "why": "x"}, "why"),
    ):
        refusal = alice.refused("POST", path, body)
        assert (refusal.status, named in refusal.message) == (400, True), refusal.message


def test_a_key_that_started_a_session_does_not_approve_where_that_is_forbidden(
    alice: Caller, agent: str, environment: str
) -> None:
    from sessions import log
    from sessions.events import Draft
    from sessions.models import Thread

    made = alice.post("/sessions", {"agent": agent, "environment_id": environment})
    call = {"name": "bash", "input": {"command": "ls"}, "evaluated_permission": "ask"}
    why = {"source": "rule", "index": 0, "rule": {"effect": "ask", "self_approval": False}}
    thread = Thread.objects.get(session_id=made["id"])
    (event,) = log.append(made["id"], thread.pk, [Draft("agent.tool_use", call, private={"permission": why})])
    path = f"/x/approvals/{event.pk}/decide"
    assert alice.refused("POST", path, {"result": "allow"}).status == 403
    other = caller("other", Role.OPERATOR, Workspace.objects.get(pk=alice.acting.workspace_id))
    assert other.post(path, {"result": "allow"})["decided_by"] == "API key other"


def test_targets_of_notices(alice: Caller, charlie: Caller) -> None:
    made = alice.post("/x/approvals/targets", {"kind": "webhook", "address": "https://example.com/hook"})
    assert made["signing_key"]
    (listed,) = alice.get("/x/approvals/targets")["data"]
    assert listed["signing_key"] is None
    assert charlie.get("/x/approvals/targets")["data"] == []
    for body, named in (
        ({"kind": "webhook", "address": "ftp://x"}, "address"),
        ({"kind": "webhook", "address": "https://user:pw@x.example"}, "address"),
        ({"kind": "mail", "address": "a@example.com"}, "SMTP_HOST"),
    ):
        assert named in alice.refused("POST", "/x/approvals/targets", body).message
    path = f"/x/approvals/targets/{made['id']}"
    changed = alice.post(path, {"address": "https://127.0.0.1:9/told"})
    assert (changed["address"], changed["kind"]) == ("https://127.0.0.1:9/told", "webhook")
    tried = alice.post(f"{path}/test", {})
    assert "not public" in tried["last_error"]
    assert alice.get(path)["last_error"] == tried["last_error"]
    assert charlie.refused("POST", f"{path}/test").status == 404
    assert alice.ok("DELETE", f"/x/approvals/targets/{made['id']}")["type"] == "notice_target_deleted"
    assert alice.refused("DELETE", f"/x/approvals/targets/{made['id']}").status == 404
