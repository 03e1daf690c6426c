"""Deciding about waiting calls: once, by whom it may be, perhaps changed, perhaps remembered."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from agents.actions import find_agent
from contract.acting import Acting
from contract.errors import Conflict, InvalidRequest, NotFound, PermissionDenied
from contract.roles import Role
from sessions import events as ev
from sessions import inbox
from sessions.approvals import actions, deadlines, finding, remembering
from sessions.harness.prompt import Prompt
from sessions.harness.state import ThreadState
from sessions.models import Approval, Session
from sessions.verify import verify
from tests.sessions.approvals.conftest import member
from tests.sessions.rows import make_session

if TYPE_CHECKING:
    from tests.sessions.approvals.conftest import Desk

ALLOW, DENY = {"result": "allow"}, {"result": "deny", "message": "Not today."}
NOT_OWN = {"effect": "ask", "tool": "bash", "self_approval": False}


def state_of(desk: Desk) -> ThreadState:
    from sessions import log

    state = ThreadState(desk.thread.pk)
    for event in log.read(desk.session.pk):
        state.advance(event)
    return state


def test_a_call_that_asks_is_in_the_inbox_with_the_rule_that_asked(desk: Desk) -> None:
    (approval,) = desk.asks("git push", rule=NOT_OWN)
    assert list(finding.waiting(desk.ann)) == [approval]
    assert (approval.tool, approval.state, approval.why["rule"]) == ("bash", "waiting", NOT_OWN)
    assert list(finding.waiting(member(make_session()[0].workspace, "eve"))) == []


def test_a_decision_is_recorded_with_who_made_it_and_what_they_saw(desk: Desk) -> None:
    (approval,) = desk.asks("make")
    decided = actions.decide(approval.pk, DENY, desk.ben, via="page", shown={"headline": "Run"})
    assert (decided.state, decided.decided_label, decided.decided_by_id) == ("denied", "ben", desk.ben.user_id)
    assert (decided.via, decided.message, decided.shown) == ("page", "Not today.", {"headline": "Run"})
    (said,) = desk.events(ev.USER_TOOL_CONFIRMATION)
    assert said.payload == {"tool_use_id": approval.pk, "result": "deny", "deny_message": "Not today."}
    assert said.private["by"] == "ben"
    assert list(finding.waiting(desk.ann)) == []
    assert list(finding.decided(desk.ann)) == [decided]
    assert verify(Session.objects.get(pk=desk.session.pk)) == []


def test_whoever_comes_second_is_told_who_was_first_and_when(desk: Desk) -> None:
    (approval,) = desk.asks("make")
    actions.decide(approval.pk, ALLOW, desk.ben, via="page")
    with pytest.raises(Conflict, match=r"already been answered: approved by ben at \d{4}-"):
        actions.decide(approval.pk, DENY, desk.ann, via="page")
    event = {"type": ev.USER_TOOL_CONFIRMATION, "tool_use_id": approval.pk, "result": "deny"}
    with pytest.raises(InvalidRequest, match=r"already been answered: approved by ben"):
        inbox.send(desk.session, [event], desk.ann)
    assert len(desk.events(ev.USER_TOOL_CONFIRMATION)) == 1


def test_the_sdk_s_own_events_are_recorded_as_decisions_too(desk: Desk) -> None:
    (approval,) = desk.asks("make")
    event = {"type": ev.USER_TOOL_CONFIRMATION, "tool_use_id": approval.pk, "result": "allow"}
    inbox.send(desk.session, [event], desk.ben)
    approval.refresh_from_db()
    assert (approval.state, approval.decided_label, approval.via) == ("allowed", "ben", "events")


def test_a_changed_call_runs_as_changed_and_the_model_is_told(desk: Desk) -> None:
    from sessions import log

    (approval,) = desk.asks("rm -rf build")
    changed = {"command": "rm -rf build/tmp"}
    decided = actions.decide(approval.pk, {**ALLOW, "input": changed}, desk.ben, via="page")
    assert decided.edited_input == changed
    assert state_of(desk).calls[approval.pk].input == changed
    (edited,) = desk.events(ev.OPS_CALL_EDITED)
    assert edited.payload["before"] == {"command": "rm -rf build"}
    assert edited.payload["by"] == "ben"
    prompt = Prompt(lambda block: block)
    prompt._calls[approval.pk] = "toolu_1"
    log.append(
        desk.session.pk,
        desk.thread.pk,
        [ev.Draft(ev.TOOL_RESULT, {"tool_use_id": approval.pk, "content": [{"type": "text", "text": "ok"}]})],
    )
    for event in log.read(desk.session.pk):
        if event.type in (ev.OPS_CALL_EDITED, ev.TOOL_RESULT):
            prompt.advance(event)
    told = prompt.messages[-1]["content"][0]["content"]
    assert "A person changed this call" in told[0]["text"]
    assert "build/tmp" in told[0]["text"]


@pytest.mark.parametrize(
    ("decision", "named"),
    [
        ({**DENY, "input": {"command": "ls"}}, "input: Only a call that is allowed"),
        ({**ALLOW, "input": {"command": 5}}, "input: bash"),
        ({**ALLOW, "input": {"command": "ls", "colour": "red"}}, "input: bash"),
        ({**DENY, "message": "x" * 2001}, "message"),
        ({**DENY, "remember": {"scope": "session"}}, "remember"),
        ({**ALLOW, "remember": {"scope": "session", "rule": {"effect": "deny"}}}, "remember.rule"),
        ({**ALLOW, "remember": {"scope": "session", "rule": {"effect": "allow", "tool": "read"}}}, "remember.rule"),
        ({**ALLOW, "remember": {"scope": "session", "rule": {"effect": "?"}}}, "remember.rule"),
    ],
)
def test_a_decision_that_makes_no_sense_changes_nothing(desk: Desk, decision: dict[str, object], named: str) -> None:
    (approval,) = desk.asks("make")
    with pytest.raises(InvalidRequest, match=named.replace(".", r"\.")):
        actions.decide(approval.pk, decision, desk.ben, via="api")
    approval.refresh_from_db()
    assert approval.state == "waiting"
    assert desk.events(ev.USER_TOOL_CONFIRMATION, ev.OPS_CALL_EDITED) == []


def test_a_call_can_t_be_changed_into_one_that_a_rule_denies(desk: Desk) -> None:
    rules = [{"effect": "deny", "tool": "bash", "command_prefix": "rm"}]
    Session.objects.filter(pk=desk.session.pk).update(permission_rules=rules)
    (approval,) = desk.asks("make")
    with pytest.raises(InvalidRequest, match="The changed call is refused"):
        actions.decide(approval.pk, {**ALLOW, "input": {"command": "make; rm x"}}, desk.ben, via="api")


def test_nobody_approves_what_they_started_where_the_rule_forbids_it(desk: Desk) -> None:
    first, second = desk.asks("git push", "git push -f", rule=NOT_OWN)
    with pytest.raises(PermissionDenied, match="somebody else must decide"):
        actions.decide(first.pk, ALLOW, desk.ann, via="page")
    event = {"type": ev.USER_TOOL_CONFIRMATION, "tool_use_id": first.pk, "result": "allow"}
    with pytest.raises(PermissionDenied):
        inbox.send(desk.session, [event], desk.ann)
    assert actions.decide(first.pk, ALLOW, desk.ben, via="page").state == "allowed"
    assert actions.decide(second.pk, DENY, desk.ann, via="page").state == "denied"


def test_a_key_doesn_t_approve_what_it_started_either(desk: Desk) -> None:
    Session.objects.filter(pk=desk.session.pk).update(created_by=None, created_by_key="apikey_1")
    (approval,) = desk.asks("git push", rule=NOT_OWN)
    key = Acting(desk.workspace.pk, Role.ADMIN, "API key robot", api_key_id="apikey_1")
    with pytest.raises(PermissionDenied):
        actions.decide(approval.pk, ALLOW, key, via="api")


def test_viewers_and_outsiders_decide_nothing(desk: Desk) -> None:
    (approval,) = desk.asks("make")
    with pytest.raises(PermissionDenied):
        actions.decide(approval.pk, ALLOW, member(desk.workspace, "vera", Role.VIEWER), via="page")
    with pytest.raises(NotFound):
        actions.decide(approval.pk, ALLOW, member(make_session()[0].workspace, "eve", Role.ADMIN), via="page")


def test_several_are_decided_at_once_each_for_itself(desk: Desk) -> None:
    first, second, third = desk.asks("make", "make test", "make install")
    actions.decide(second.pk, ALLOW, desk.ann, via="page")
    outcomes = actions.decide_many([first.pk, second.pk, third.pk], DENY, desk.ben, via="page")
    assert [outcome.error is None for outcome in outcomes] == [True, False, True]
    assert Approval.objects.filter(state="denied").count() == 2
    with pytest.raises(InvalidRequest):
        actions.decide_many([], DENY, desk.ben, via="page")


def test_remembering_for_the_session_adds_a_rule_that_can_be_seen(desk: Desk) -> None:
    (approval,) = desk.asks("git push origin main")
    actions.decide(approval.pk, {**ALLOW, "remember": {"scope": "session"}}, desk.ann, via="page")
    session = Session.objects.get(pk=desk.session.pk)
    rule = {"effect": "allow", "tool": "bash", "command_prefix": "git push"}
    assert session.remembered_rules == [rule]
    (told,) = desk.events(ev.OPS_PERMISSIONS)
    assert told.payload == {"remembered_rules": [rule], "by": "ann"}


def test_remembering_for_the_agent_makes_a_version_with_the_rule_before_the_one_that_asked(desk: Desk) -> None:
    from agents.actions import update_agent

    asking = {"effect": "ask", "tool": "bash"}
    update_agent(desk.session.agent_id, {"holdfast": {"permission_rules": [asking]}}, desk.ben)
    (approval,) = desk.asks("make test", rule=asking)
    wanted = {**ALLOW, "remember": {"scope": "agent"}}
    with pytest.raises(PermissionDenied):
        actions.decide(approval.pk, wanted, desk.ann, via="page")
    assert Approval.objects.get(pk=approval.pk).state == "waiting"
    actions.decide(approval.pk, wanted, desk.ben, via="page")
    spec = find_agent(desk.session.agent_id, desk.ben).spec
    allowed = {"effect": "allow", "tool": "bash", "command_prefix": "make test"}
    assert spec["holdfast"]["permission_rules"] == [allowed, asking]


def test_nothing_is_remembered_where_self_approval_is_forbidden(desk: Desk) -> None:
    (approval,) = desk.asks("git push", rule=NOT_OWN)
    with pytest.raises(InvalidRequest, match="asks each time"):
        actions.decide(approval.pk, {**ALLOW, "remember": {"scope": "session"}}, desk.ben, via="page")


@pytest.mark.parametrize(
    ("tool", "given", "server", "rule"),
    [
        ("bash", {"command": "git push origin"}, "", {"command_prefix": "git push"}),
        ("bash", {"command": "rm -rf build"}, "", {"command_prefix": "rm -rf build"}),
        ("bash", {"command": "ls; rm x"}, "", None),
        ("bash", {"command": "cat <<EOF\nEOF"}, "", None),
        ("bash", {"command": "ls $X"}, "", None),
        ("bash", {"command": "ls 'a b'"}, "", None),
        ("write", {"file_path": "a.py", "content": ""}, "", {"path": "/workspace/a.py"}),
        ("web_fetch", {"url": "https://example.com/x"}, "", {"host": "example.com"}),
        ("web_search", {"query": "x"}, "", {}),
        ("issues", {}, "github", {"mcp_server": "github"}),
    ],
)
def test_the_suggested_rule_is_narrow(
    tool: str, given: dict[str, str], server: str, rule: dict[str, str] | None
) -> None:
    expected = None if rule is None else {"effect": "allow", "tool": tool, **rule}
    assert remembering.suggested(tool, given, server) == expected


def test_a_call_is_passed_to_a_member_who_may_decide(desk: Desk) -> None:
    (approval,) = desk.asks("make")
    member(desk.workspace, "vera", Role.VIEWER)
    assert actions.assign(approval.pk, "ben", desk.ann).assigned_to_id == desk.ben.user_id
    assert list(finding.waiting(desk.ben, {"mine": "1"})) == [approval]
    assert list(finding.waiting(desk.ann, {"mine": "1"})) == []
    assert [event.payload["to"] for event in desk.events(ev.OPS_ASSIGNED)] == ["ben"]
    with pytest.raises(InvalidRequest, match="no member"):
        actions.assign(approval.pk, "nobody", desk.ann)
    with pytest.raises(PermissionDenied):
        actions.assign(approval.pk, "vera", desk.ann)
    assert actions.assign(approval.pk, None, desk.ann).assigned_to is None


@pytest.mark.parametrize("outcome", ["deny", "interrupt"])
def test_what_nobody_answers_in_time_ends_as_its_rule_says(desk: Desk, outcome: str) -> None:
    rule = {"effect": "ask", "expires_after_seconds": 1800, "on_expiry": outcome}
    (approval,) = desk.asks("make", rule=rule)
    assert approval.expires_at == approval.asked_at + timedelta(minutes=30)
    assert deadlines.expire_due() == 0
    now = timezone.now()
    Approval.objects.update(asked_at=now - timedelta(minutes=30), expires_at=now)
    assert deadlines.expire_due() == 1
    assert deadlines.expire_due() == 0
    approval.refresh_from_db()
    assert (approval.state, approval.via) == ("expired", "expiry")
    assert approval.decided_label.endswith("in time")
    if outcome == "deny":
        (said,) = desk.events(ev.USER_TOOL_CONFIRMATION)
        assert said.payload["deny_message"] == "Nobody answered within 30 minutes."
    else:
        assert desk.events(ev.USER_TOOL_CONFIRMATION) == []
        assert desk.events(ev.STATUS_IDLE)[-1].payload["stop_reason"] == ev.END_TURN


def test_a_call_that_can_t_be_ended_keeps_no_other_waiting(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = desk.asks("make", "ls", rule={"effect": "ask", "expires_after_seconds": 60})
    now = timezone.now()
    Approval.objects.update(asked_at=now - timedelta(minutes=2), expires_at=now)
    Approval.objects.filter(pk=first.pk).update(expires_at=now - timedelta(minutes=1))
    locked = actions.locked

    def torn(approval_id: str, acting: Acting) -> Approval:
        if approval_id == first.pk:
            raise ValueError("torn")
        return locked(approval_id, acting)

    monkeypatch.setattr(actions, "locked", torn)
    assert deadlines.expire_due() == 1
    second.refresh_from_db()
    assert second.state == "expired"


def test_without_a_rule_that_says_so_a_call_waits_for_ever(desk: Desk) -> None:
    (approval,) = desk.asks("make")
    assert approval.expires_at is None


def test_a_call_that_an_interrupt_closes_waits_no_longer(desk: Desk) -> None:
    (approval,) = desk.asks("make")
    inbox.send(desk.session, [{"type": ev.USER_INTERRUPT}], desk.ann)
    approval.refresh_from_db()
    assert approval.state == "closed"
    with pytest.raises(Conflict, match="closed"):
        actions.decide(approval.pk, ALLOW, desk.ann, via="page")
