"""Caps of every level: the tightest stops the loop by name, and raising it lets the work go on."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from agents import actions as agents
from contract.acting import Acting
from contract.errors import InvalidRequest
from contract.roles import Role
from sessions import actions, caps
from sessions import events as ev
from sessions.approvals import deadlines
from sessions.harness import runner
from sessions.harness.limits import Caps, Used
from sessions.models import Session, Thread
from sessions.models.approvals import Approval
from sessions.verify import verify
from tests.sessions.harness.test_loop import ask, say, send
from tests.sessions.rows import CUSTOM, acting, make_session

if TYPE_CHECKING:
    from sessions.models import Event

pytestmark = pytest.mark.usefixtures("worker")

USED = Used(steps=3, model_requests=4, tokens=500, list_cost=Decimal("12.5"), running_seconds=9.5)
ASKING = {
    "type": "agent_toolset_20260401",
    "default_config": {"enabled": True, "permission_policy": {"type": "always_ask"}},
    "configs": [],
}


def cents(amount: str) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD"}


def admin(session: Session) -> Acting:
    return Acting(session.workspace_id, Role.ADMIN, "Ada")


def last(session: Session, event_type: str) -> Event:
    return session.events.filter(type=event_type).order_by("-seq")[0]


def test_the_tightest_level_wins() -> None:
    bounds = Caps((("installation", {"steps": 100}), ("workspace", {"steps": 3}), ("session", {"steps": 50})))
    found = bounds.reached(USED)
    assert found is not None
    assert found.note() == {"cap": "steps", "level": "workspace", "limit": 3, "used": 3}


@pytest.mark.parametrize(
    ("limits", "reached"),
    [
        ({"steps": 4}, None),
        ({"model_requests": 4}, "model_requests"),
        ({"tokens": 501}, None),
        ({"tokens": 500}, "tokens"),
        ({"list_cost": cents("13")}, None),
        ({"list_cost": cents("12")}, "list_cost"),
        ({"running_seconds": 9}, "running_seconds"),
        ({"approval_seconds": 1}, None),
    ],
)
def test_each_kind_of_cap_is_reached_by_its_own_measure(limits: dict[str, Any], reached: str | None) -> None:
    found = Caps((("session", limits),)).reached(USED)
    assert (found.cap if found else None) == reached


def test_money_that_nobody_can_count_is_as_good_as_spent() -> None:
    unknown = Used(0, 1, 10, Decimal(0), 1.0, cost_known=False)
    found = Caps((("agent", {"list_cost": cents("100")}),)).reached(unknown)
    assert found is not None
    assert "no known price" in found.sentence()


@pytest.mark.django_db(transaction=True)
def test_a_session_pauses_at_its_cap_and_goes_on_once_it_is_raised() -> None:
    session, thread = make_session(tools=[CUSTOM])
    Session.objects.filter(pk=session.pk).update(limits={"model_requests": 1})
    ask(session, thread, "[[demo: custom=ask_caller]]")
    (pending,) = Thread.objects.get(pk=thread.id).pending
    send(session, {"type": ev.USER_CUSTOM_TOOL_RESULT, "custom_tool_use_id": pending["id"], "content": []})
    runner.run(thread.id)
    session.refresh_from_db()
    note = {"cap": "model_requests", "level": "session", "limit": 1, "used": 1}
    assert session.stop_reason == {"type": "budget_reached", "holdfast": note}
    assert "Raise or lift it to go on" in last(session, ev.OPS_LIMIT_REACHED).payload["message"]
    with pytest.raises(InvalidRequest, match="limit of 1 model requests is used up"):
        say(session, "go on")
    actions.update_session(session.pk, {"holdfast": {"limits": {"model_requests": 5}}}, acting(session.workspace))
    session.refresh_from_db()
    assert session.status == "running"
    runner.run(thread.id)
    session.refresh_from_db()
    assert session.stop_reason == ev.END_TURN
    assert verify(session) == []


@pytest.mark.django_db(transaction=True)
def test_a_cap_that_is_lowered_later_holds_for_the_next_message() -> None:
    session, thread = make_session()
    ask(session, thread, "hello")
    caps.change_workspace({"model_requests": 1}, admin(session))
    with pytest.raises(InvalidRequest, match="The workspace's limit"):
        say(session, "again")
    caps.change_workspace(None, admin(session))
    ask(session, thread, "again")
    assert session.stop_reason == ev.END_TURN


@pytest.mark.django_db(transaction=True)
def test_an_agent_s_limit_applies_to_its_sessions_and_raising_it_sets_them_going() -> None:
    session, thread = make_session(tools=[CUSTOM])
    agents.update_agent(session.agent_id, {"holdfast": {"limits": {"steps": 1}}}, admin(session))
    ask(session, thread, "[[demo: custom=ask_caller]]")
    (pending,) = Thread.objects.get(pk=thread.id).pending
    send(session, {"type": ev.USER_CUSTOM_TOOL_RESULT, "custom_tool_use_id": pending["id"], "content": []})
    runner.run(thread.id)
    session.refresh_from_db()
    assert session.stop_reason is not None
    assert session.stop_reason["holdfast"]["level"] == "agent"
    agents.update_agent(session.agent_id, {"holdfast": {"limits": {"steps": None}}}, admin(session))
    session.refresh_from_db()
    assert session.status == "running"


@pytest.mark.django_db(transaction=True)
def test_money_is_not_limited_where_no_price_is_known() -> None:
    session, _ = make_session(model="some-local-model")
    with pytest.raises(InvalidRequest, match="no public list price"):
        agents.update_agent(session.agent_id, {"holdfast": {"limits": {"list_cost": cents("5")}}}, admin(session))
    caps.change_workspace({"list_cost": cents("500")}, admin(session))
    body = {"agent": session.agent_id, "environment_id": session.environment_id}
    with pytest.raises(InvalidRequest, match="the workspace's limit of list_cost"):
        actions.create_session(body, admin(session))


@pytest.mark.django_db(transaction=True)
def test_running_time_has_the_price_of_the_setting(settings: Any) -> None:
    settings.HOLDFAST_RUNNING_HOUR_PRICE = Decimal(3600)
    first, _ = make_session()
    body = {"agent": first.agent_id, "environment_id": first.environment_id}
    session = actions.create_session(body, admin(first))
    ask(session, session.threads.get(), "hello")
    usage = last(session, ev.SESSION_USAGE).payload["usage"]
    assert int(usage["list_cost"]["amount"]) == pytest.approx(usage["active_seconds"] * 100, abs=2)


@pytest.mark.django_db(transaction=True)
def test_a_call_that_nobody_approves_in_time_is_denied_and_the_agent_goes_on() -> None:
    session, thread = make_session(tools=[ASKING])
    Session.objects.filter(pk=session.pk).update(limits={"approval_seconds": 60})
    ask(session, thread, "Run `ls`.")
    assert deadlines.expire_due() == 0
    ago = timezone.now() - timedelta(seconds=61)
    Approval.objects.update(asked_at=ago, expires_at=ago + timedelta(seconds=60))
    assert deadlines.expire_due() == 1
    runner.run(thread.id)
    session.refresh_from_db()
    said = last(session, ev.TOOL_RESULT).payload["content"][0]["text"]
    assert said == ("The call of bash was not carried out: a person has to allow it. Nobody answered within 1 minute.")
    assert session.stop_reason == ev.END_TURN


@pytest.mark.django_db(transaction=True)
def test_more_time_given_meanwhile_is_time_given() -> None:
    session, thread = make_session(tools=[ASKING])
    caps.change_workspace({"approval_seconds": 60}, admin(session))
    ask(session, thread, "Run `ls`.")
    waiting = Approval.objects.get()
    assert waiting.expires_at == waiting.asked_at + timedelta(seconds=60)
    caps.change_workspace({"approval_seconds": 3600}, admin(session))
    waiting.refresh_from_db()
    assert waiting.expires_at == waiting.asked_at + timedelta(seconds=3600)
    caps.change_workspace(None, admin(session))
    waiting.refresh_from_db()
    assert waiting.expires_at is None
