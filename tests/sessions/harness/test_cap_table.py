"""Every cap at every level where it exists: it stops the work by its name and its level, and lifting it at that level
sets the work going at once. The table of ``docs/caps.md``, cell by cell.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from django.db.models import F
from django.utils import timezone
from pydantic import ValidationError

from agents import actions as agents
from agents import pricing
from agents.additions import AgentAdditions
from agents.models import Agent, AgentVersion, Workspace
from agents.pricing import ListPrice
from contract.acting import Acting
from contract.limits import Limits, WorkspaceLimits
from contract.roles import Role
from sessions import actions, bounds, caps, capwords, raising
from sessions import events as ev
from sessions.harness import admission, runner
from sessions.harness.limits import DAILY, KINDS, MONEY
from sessions.models import Session, Thread, UsageSlice, WorkflowRun
from sessions.models.approvals import Approval
from sessions.permissions import SessionAdditions
from sessions.workflows import runs
from tests.sessions.harness.test_workflows import phase, run_plan
from tests.sessions.rows import CUSTOM, make_session
from tests.sessions.teams import entries, member, say, send, team_session

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker", "dear")]

ONE_CENT = {"amount": "1", "currency": "USD"}
USED_UP: dict[str, Any] = dict.fromkeys([*KINDS, *DAILY], 1) | {"list_cost": ONE_CENT, "list_cost_per_day": ONE_CENT}
LEVELS = ("installation", "workspace", "agent", "session")
CELLS = [(kind, level) for kind in KINDS for level in LEVELS]
CELLS += [(kind, level) for kind in DAILY for level in ("installation", "workspace")]
ASKING = {
    "type": "agent_toolset_20260401",
    "default_config": {"enabled": True, "permission_policy": {"type": "always_ask"}},
    "configs": [],
}


@pytest.fixture
def dear(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo model costs ten cents a token, so that money is used up as fast as all else."""
    monkeypatch.setitem(pricing.LIST_PRICES, "demo", ListPrice(Decimal(100_000), Decimal(100_000), Decimal(1)))


@pytest.fixture
def put(settings: Any) -> Callable[[Session, str, dict[str, Any]], None]:
    """Set caps at a level by the door that it has for people."""

    def put(session: Session, level: str, limits: dict[str, Any]) -> None:
        admin = Acting(session.workspace_id, Role.ADMIN, "Ada")
        if level == "installation":
            settings.HOLDFAST_LIMITS = {name: value for name, value in limits.items() if value is not None}
            caps.follow_installation()  # as the sweeper does at its start
        elif level == "workspace":
            caps.change_workspace(limits, admin)
        elif level == "agent":
            agents.update_agent(session.agent_id, {"holdfast": {"limits": limits}}, admin)
        else:
            actions.update_session(session.pk, {"holdfast": {"limits": limits}}, admin)

    return put


Put = "Callable[[Session, str, dict[str, Any]], None]"


def run(session: Session) -> Session:
    """Run every thread and run of a session until all rest."""
    while busy := list(Thread.objects.filter(session=session, status="running")):
        for thread in busy:
            runner.run(thread.pk)
        for run_id in WorkflowRun.objects.filter(session=session, status="running").values_list("pk", flat=True):
            runs.drive(run_id)
    session.refresh_from_db()
    return session


def spend(session: Session) -> Session:
    """A request with a call that its client has answered; and a minute of work."""
    say(session, "[[demo: custom=ask_caller]]")
    run(session)
    Session.objects.filter(pk=session.pk).update(active_seconds=60.0)
    (pending,) = Thread.objects.get(session=session).pending
    send(session, {"type": ev.USER_CUSTOM_TOOL_RESULT, "custom_tool_use_id": pending["id"], "content": []})
    return session


@pytest.mark.parametrize(("kind", "level"), CELLS)
def test_each_cap_stops_a_session_at_each_level_until_it_is_lifted_there(put: Any, kind: str, level: str) -> None:
    session = spend(make_session(tools=[CUSTOM])[0])
    put(session, level, {kind: USED_UP[kind]})
    run(session)
    assert session.stop_reason is not None
    note = session.stop_reason["holdfast"]
    assert (session.stop_reason["type"], note["cap"], note["level"], note["limit"]) == (
        "budget_reached",
        kind,
        level,
        1,
    )
    assert note["used"] >= 1
    (told,) = entries(session, ev.OPS_LIMIT_REACHED)
    one = "$0.01" if kind in MONEY else "1"
    assert f"The {level}'s limit of {one} " in told.payload["message"]
    offered = raising.offer(session, raising.standing(session))
    assert offered is not None
    assert (offered.cap, offered.level) == ((kind, level) if level != "installation" else ("", ""))
    assert level in str(capwords.stopped(session))
    assert caps.overview(session)["effective"][kind] == {"limit": 1, "level": level, "used": note["used"]}
    assert caps.resume_all() == 0
    put(session, level, {kind: None})
    session.refresh_from_db()
    assert session.status == "running"
    assert run(session).stop_reason == ev.END_TURN


def team() -> Session:
    """A session whose agent leads alpha, which is an agent of the workspace and has worked for a minute already."""
    session, primary = team_session(member("alpha"), member("beta"))
    now = timezone.now()
    Agent.objects.create(id="agent_alpha", workspace=session.workspace, name="alpha", created_at=now, updated_at=now)
    spec = {**member("alpha"), "multiagent": None, "metadata": {}}
    del spec["id"], spec["version"], spec["type"]
    AgentVersion.objects.create(agent_id="agent_alpha", version=1, spec=spec, created_at=now)
    say(session, "Ask alpha to ask beta to say `pong`.")
    run(session)
    began = session.events.filter(type=ev.THREAD_RUNNING, thread__agent_name="alpha").order_by("seq")[0]
    session.events.filter(pk=began.pk).update(created_at=F("created_at") - timedelta(minutes=1))
    Thread.objects.filter(agent_name="alpha").update(active_seconds=60.0)
    assert Thread.objects.get(pk=primary.pk).status == "idle"
    return session


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_thread_keeps_to_the_caps_of_its_own_agent(kind: str) -> None:
    session = team()
    admin = Acting(session.workspace_id, Role.ADMIN, "Ada")
    agents.update_agent("agent_alpha", {"holdfast": {"limits": {kind: USED_UP[kind]}}}, admin)
    say(session, "Ask alpha to say `two`.")
    run(session)
    assert session.stop_reason is not None
    note = session.stop_reason["holdfast"]
    assert (note["cap"], note["level"], note["agent_id"]) == (kind, "agent", "agent_alpha")
    assert Thread.objects.get(agent_name="alpha").stop_reason == session.stop_reason
    (told,) = caps.in_full(session)["threads"]
    assert (told["agent_id"], told["agent_name"]) == ("agent_alpha", "alpha")
    assert told["effective"][kind]["level"] == "agent"
    assert told["effective"][kind]["used"] >= told["effective"][kind]["limit"]
    offered = raising.offer(session, raising.standing(session))
    assert offered is not None
    assert caps.resume_all() == 0, "it has no room yet"
    raising.raise_cap(session, {**dict(offered.sent), "limit": ""}, admin)
    assert Thread.objects.get(agent_name="alpha").status == "running"
    assert run(session).stop_reason == ev.END_TURN


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_thread_keeps_to_the_caps_of_its_session(put: Any, kind: str) -> None:
    session = team()
    Session.objects.filter(pk=session.pk).update(active_seconds=60.0)
    say(session, "Ask alpha to say `two`.")
    child = Thread.objects.get(agent_name="alpha")
    while child.status != "running":
        runner.run(Thread.objects.get(session=session, parent=None).pk)
        child.refresh_from_db()
    put(session, "session", {kind: USED_UP[kind]})
    runner.run(child.pk)
    child.refresh_from_db()
    assert child.stop_reason is not None
    assert (child.stop_reason["holdfast"]["cap"], child.stop_reason["holdfast"]["level"]) == (kind, "session")
    put(session, "session", {kind: None})
    assert run(session).stop_reason == ev.END_TURN


@pytest.mark.parametrize("kind", KINDS)
def test_a_workflow_run_pauses_at_the_caps_of_its_session_and_goes_on_with_it(put: Any, kind: str) -> None:
    session = team()
    Session.objects.filter(pk=session.pk).update(active_seconds=60.0)
    run_plan(session, phase("a", "say `x`", count=2))
    runner.run(Thread.objects.get(session=session, parent=None).pk)
    put(session, "session", {kind: USED_UP[kind]})
    run(session)
    open_run = WorkflowRun.objects.get(session=session)
    runs.drive(open_run.pk)
    open_run.refresh_from_db()
    assert open_run.status == "idle"
    put(session, "session", {kind: None})
    open_run.refresh_from_db()
    assert open_run.status == "running"
    for _ in range(5):
        runs.drive(open_run.pk)
        run(session)
    open_run.refresh_from_db()
    assert open_run.status == "ended"


@pytest.mark.parametrize("level", [*LEVELS, "child"])
def test_a_call_waits_as_long_as_the_tightest_level_says_also_once_it_waits(put: Any, level: str) -> None:
    if level == "child":
        session = team()
        Thread.objects.filter(agent_name="alpha").update(agent={**member("alpha", [ASKING])})
        say(session, "[[demo: delegate=alpha]] Run `ls`.")
    else:
        session, _ = make_session(tools=[ASKING])
        say(session, "Run `ls`.")
    admin = Acting(session.workspace_id, Role.ADMIN, "Ada")

    def patience(seconds: int | None) -> None:
        if level == "child":
            agents.update_agent("agent_alpha", {"holdfast": {"limits": {"approval_seconds": seconds}}}, admin)
        else:
            put(session, level, {"approval_seconds": seconds})

    patience(60)
    run(session)
    waiting = Approval.objects.get()
    assert waiting.expires_at == waiting.asked_at + timedelta(seconds=60)
    patience(90)
    waiting.refresh_from_db()
    assert waiting.expires_at == waiting.asked_at + timedelta(seconds=90)
    patience(None)
    waiting.refresh_from_db()
    assert waiting.expires_at is None


@pytest.mark.parametrize("kind", ["concurrent_sessions", "concurrent_sessions_per_person"])
@pytest.mark.parametrize("level", ["installation", "workspace"])
def test_so_many_sessions_run_at_once(worker: Any, settings: Any, kind: str, level: str) -> None:
    first, running = make_session()
    second, waiting = make_session()
    Session.objects.filter(pk=second.pk).update(workspace=first.workspace)
    second.refresh_from_db()
    say(first, "hello")
    say(second, "hello")
    if level == "installation":
        settings.HOLDFAST_LIMITS = {kind: 1}
    else:
        Workspace.objects.filter(pk=first.workspace_id).update(limits={kind: 1})
    assert worker.claim(running.pk) is not None
    assert worker.claim(waiting.pk) is None
    assert admission.place(first.workspace_id, second.pk) == 1
    settings.HOLDFAST_LIMITS = {}
    caps.change_workspace(None, Acting(first.workspace_id, Role.ADMIN, "Ada"))
    assert worker.claim(waiting.pk) is not None


OF_WORKSPACES = sorted(WorkspaceLimits.model_fields.keys() - Limits.model_fields.keys())


@pytest.mark.parametrize("kind", OF_WORKSPACES)
@pytest.mark.parametrize("model", [AgentAdditions, SessionAdditions])
def test_what_only_a_workspace_has_is_refused_of_an_agent_and_a_session(model: Any, kind: str) -> None:
    with pytest.raises(ValidationError, match=kind):
        model.model_validate({"limits": {kind: USED_UP.get(kind, 1)}})


def test_the_next_day_sets_going_what_had_used_up_the_last_one(put: Any) -> None:
    session = spend(make_session(tools=[CUSTOM])[0])
    put(session, "workspace", {"tokens_per_day": 1})
    run(session)
    assert caps.resume_all() == 0
    UsageSlice.objects.update(at=bounds.day() - timedelta(minutes=15))
    assert caps.resume_all() == 1
    assert run(session).stop_reason == ev.END_TURN


def test_a_cap_is_raised_for_more_sessions_than_are_looked_at_in_one_go(
    put: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    later: list[str] = []
    monkeypatch.setattr(caps, "BATCH", 1)
    monkeypatch.setattr(caps, "resume_later", later.append)
    first = spend(make_session(tools=[CUSTOM])[0])
    second = spend(make_session(tools=[CUSTOM])[0])
    Session.objects.filter(pk=second.pk).update(workspace=first.workspace)
    Agent.objects.filter(pk=second.agent_id).update(workspace=first.workspace)
    put(first, "workspace", {"steps": 1})
    run(first)
    run(second)
    put(first, "workspace", {"steps": None})
    assert later == [min(first.pk, second.pk)]
    assert caps.resume_all(after=later[0]) == 1
    assert set(Session.objects.values_list("status", flat=True)) == {"running"}


def test_a_session_that_cannot_be_read_keeps_no_other_at_its_cap(put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = spend(make_session(tools=[CUSTOM])[0])
    second = spend(make_session(tools=[CUSTOM])[0])
    for session in (first, second):
        put(session, "workspace", {"tokens_per_day": 1})
        run(session)
    UsageSlice.objects.update(at=bounds.day() - timedelta(minutes=15))
    unreadable, sound = sorted((first.pk, second.pk))
    whole = bounds.reached

    def reached(session: Session) -> Any:
        if session.pk == unreadable:
            raise KeyError("max_list_cost")
        return whole(session)

    monkeypatch.setattr(caps, "reached", reached)
    assert caps.resume_all() == 1
    assert Session.objects.get(pk=sound).status == "running"
