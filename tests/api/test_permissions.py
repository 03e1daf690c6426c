"""Permission rules on agents and sessions, and the policy tester."""

from __future__ import annotations

from typing import Any

import pytest

from contract.roles import Role
from sessions.models import Event
from tests.api.conftest import Caller, caller, fits

ASK_PUSH = {"effect": "ask", "tool": "bash", "command_prefix": "git push", "self_approval": False}
NO_RM = {"effect": "deny", "tool": "bash", "command_prefix": "rm"}
ALLOW_LS = {"effect": "allow", "tool": "bash", "command_prefix": "ls"}
AGENT = "beta_managed_agents_agent.BetaManagedAgentsAgent"
SESSION = "beta_managed_agents_session.BetaManagedAgentsSession"


@pytest.fixture
def ruled(alice: Caller) -> str:
    body = {
        "name": "Careful",
        "model": "demo",
        "tools": [{"type": "agent_toolset_20260401", "default_config": {"permission_policy": {"type": "auto"}}}],
        "holdfast": {"permission_rules": [NO_RM, ASK_PUSH]},
    }
    made = alice.post("/agents", body)
    fits(AGENT, made)
    assert made["holdfast"] == {"permission_rules": [NO_RM, ASK_PUSH]}
    agent_id: str = made["id"]
    return agent_id


def rules(path: str, who: Caller) -> Any:
    return who.get(path).get("holdfast", {}).get("permission_rules")


def test_an_agent_s_rules_are_versioned_kept_and_cleared(alice: Caller, ruled: str) -> None:
    assert alice.post(f"/agents/{ruled}", {"description": "x"})["holdfast"]["permission_rules"] == [NO_RM, ASK_PUSH]
    assert alice.post(f"/agents/{ruled}", {"holdfast": {}})["version"] == 2
    assert alice.post(f"/agents/{ruled}", {"holdfast": {"permission_rules": [NO_RM]}})["version"] == 3
    assert rules(f"/agents/{ruled}", alice) == [NO_RM]
    cleared = alice.post(f"/agents/{ruled}", {"holdfast": {"permission_rules": []}})
    assert "holdfast" not in cleared


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ([{"effect": "perhaps"}], "holdfast.permission_rules.0.effect"),
        ([NO_RM, {"effect": "deny", "colour": "red"}], "holdfast.permission_rules.1.colour"),
        ([{"effect": "deny", "self_approval": False}], "holdfast.permission_rules.0"),
        ([NO_RM] * 101, "holdfast.permission_rules"),
        ("all", "holdfast.permission_rules"),
    ],
)
def test_a_wrong_rule_is_named(alice: Caller, rules: Any, named: str) -> None:
    body = {"name": "x", "model": "demo", "holdfast": {"permission_rules": rules}}
    refusal = alice.refused("POST", "/agents", body)
    assert (refusal.status, refusal.type) == (400, "invalid_request_error")
    assert named in refusal.message


def test_a_session_is_tightened_at_its_start_and_shows_its_rules(alice: Caller, ruled: str, environment: str) -> None:
    body = {"agent": ruled, "environment_id": environment, "holdfast": {"permission_rules": [NO_RM]}}
    made = alice.post("/sessions", body)
    fits(SESSION, made)
    assert made["holdfast"] == {"permission_rules": [NO_RM]}
    assert made["agent"]["holdfast"]["permission_rules"] == [NO_RM, ASK_PUSH]
    refusal = alice.refused("POST", "/sessions", body | {"holdfast": {"remembered_rules": [ALLOW_LS]}})
    assert "remembered_rules" in refusal.message


def test_an_operator_tightens_a_session_and_can_t_loosen_it(alice: Caller, session: dict[str, Any]) -> None:
    from agents.models import Workspace

    operator = caller("op", Role.OPERATOR, Workspace.objects.get(pk=alice.acting.workspace_id))
    path = f"/sessions/{session['id']}"

    def change(who: Caller, *wanted: Any) -> Any:
        return who.send("POST", path, {"holdfast": {"permission_rules": list(wanted)}}).status_code

    assert change(operator, {"effect": "ask"}) == 200
    assert change(operator, {"effect": "ask"}, NO_RM) == 200
    assert change(operator, NO_RM, {"effect": "ask"}, NO_RM) == 200
    for looser in ([], [NO_RM], [ALLOW_LS, NO_RM, {"effect": "ask"}, NO_RM], [{"effect": "ask"}, NO_RM]):
        assert change(operator, *looser) == 403
    assert rules(path, operator) == [NO_RM, {"effect": "ask"}, NO_RM]
    assert operator.send("POST", path, {"holdfast": {"remembered_rules": [ALLOW_LS]}}).status_code == 403
    assert change(alice) == 200
    kinds = list(Event.objects.filter(session_id=session["id"]).values_list("type", flat=True))
    assert kinds == ["ops.permissions_changed"] * 4


def test_the_tester_names_the_rule_that_decides(alice: Caller, ruled: str) -> None:
    def tried(command: str) -> dict[str, Any]:
        body = {"agent_id": ruled, "tool": "bash", "input": {"command": command}}
        return alice.post("/x/permissions/test", body)

    denied = tried("ls; rm x")
    assert (denied["evaluated_permission"], denied["evaluation"]) == ("deny", None)
    assert denied["decided_by"] == {"source": "rule", "index": 0, "rule": NO_RM}
    assert "rule 1 of the agent" in denied["explanation"]
    assert tried("git push")["decided_by"]["rule"] == ASK_PUSH
    judged = tried("ls -la")
    assert judged["evaluation"] == {"type": "auto", "evaluated_permission": {"type": "allow"}}
    assert judged["decided_by"]["source"] == "policy"
    unknown = alice.post("/x/permissions/test", {"agent_id": ruled, "tool": "teleport"})
    assert unknown["decided_by"] == {"source": "not_enabled"}


def test_the_tester_knows_what_tightened_a_session(alice: Caller, ruled: str, environment: str) -> None:
    body = {"agent": ruled, "environment_id": environment, "holdfast": {"permission_rules": [{"effect": "deny"}]}}
    made = alice.post("/sessions", body)
    call = {"session_id": made["id"], "tool": "read", "input": {"file_path": "x"}}
    assert alice.post("/x/permissions/test", call)["decided_by"]["source"] == "session_rule"


def test_the_tester_wants_one_subject_of_the_caller_s_workspace(
    alice: Caller, charlie: Caller, ruled: str, session: dict[str, Any]
) -> None:
    call = {"tool": "bash", "input": {}}
    assert alice.refused("POST", "/x/permissions/test", call).status == 400
    both = call | {"agent_id": ruled, "session_id": session["id"]}
    assert alice.refused("POST", "/x/permissions/test", both).status == 400
    assert charlie.refused("POST", "/x/permissions/test", call | {"agent_id": ruled}).status == 404
    assert charlie.refused("POST", "/x/permissions/test", call | {"session_id": session["id"]}).status == 404
