"""Workflow runs, with the demo model and no sandbox: phases, many agents, errors, and a driver that starts anew."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from contract.errors import InvalidRequest
from sessions import events as ev
from sessions.actions import archive_session, update_session
from sessions.harness import runner
from sessions.models import Session, Thread, WorkflowRun
from sessions.workflows import runs
from tests.sessions.rows import acting
from tests.sessions.teams import entries, member, say, settle, team_session, texts

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


def run_plan(session: Session, *phases: dict[str, Any], **more: Any) -> None:
    plan = {"name": "Survey", "phases": list(phases), **more}
    say(session, f"Use ant__run_workflow with {json.dumps(plan)}.")


def phase(name: str, prompt: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "prompt": prompt, **more}


def results(session: Session) -> list[str]:
    return [event.payload["text"] for event in entries(session, ev.OPS_WORKFLOW_RESULT)]


def test_phases_run_one_after_another_and_their_results_go_on() -> None:
    session, primary = team_session(member("alpha"))
    run_plan(
        session,
        phase("find", "say `{{item}}`", items=["a", "b", "c"]),
        phase("judge", "say `good {{item}}`", items="find", agent="alpha"),
        phase("sum", "say `all`"),
    )
    settle(session)
    assert sorted(results(session)) == ["a", "all", "b", "c", "good a", "good b", "good c"]
    kinds = [event.type for event in entries(session) if event.type.startswith("workflow_run.")]
    assert kinds == [
        ev.RUN_CREATED,
        ev.RUN_RUNNING,
        *[ev.PHASE_STARTED, ev.PHASE_ENDED] * 3,
        ev.RUN_ENDED,
    ]
    (ended,) = entries(session, ev.RUN_ENDED)
    assert ended.payload["result"] == {"type": "completed"}
    (report,) = entries(session, ev.OPS_WORKFLOW_REPORT)
    assert report.thread_id == primary.id and texts(report).endswith("Results of phase sum:\n1. all")
    assert session.status == "idle" and entries(session)[-1].type == ev.STATUS_IDLE
    threads = Thread.objects.filter(workflow_run_id=ended.payload["workflow_run_id"])
    assert {(thread.status, thread.archived_at is None) for thread in threads} == {("terminated", False)}


def test_the_session_runs_until_the_run_has_ended() -> None:
    session, primary = team_session(member("alpha"))
    run_plan(session, phase("one", "say `x`"))
    runner.run(primary.id)
    session.refresh_from_db()
    assert (Thread.objects.get(pk=primary.pk).status, session.status) == ("idle", "running")
    settle(session)
    assert session.status == "idle"


def test_many_agents_are_started_a_few_at_a_time_and_each_once() -> None:
    session, primary = team_session()
    run_plan(session, phase("each", "say `{{index}}`", count=70))
    runner.run(primary.id)
    run = WorkflowRun.objects.get(session=session)
    runs.drive(run.pk)
    runs.drive(run.pk)
    assert Thread.objects.filter(workflow_run_id=run.pk).count() == runs.AT_ONCE
    settle(session)
    assert sorted(map(int, results(session))) == list(range(70))


def test_an_agent_that_fails_is_a_result_and_a_plan_may_stop_on_it() -> None:
    session, _ = team_session()
    failing: dict[str, Any] = {"prompt": "[[{{item}}", "items": ["demo: fail=400xall]]"]}
    run_plan(session, phase("a", **failing), phase("b", "say `went on`"))
    settle(session)
    assert results(session)[-1] == "went on"
    run_plan(session, phase("a", **failing, stop_on_error=True), phase("b", "say `never`"))
    settle(session)
    assert entries(session, ev.RUN_ENDED)[-1].payload["result"]["error"]["type"] == "program_error"
    assert "never" not in results(session)


def test_a_run_that_takes_too_long_is_ended_with_its_agents() -> None:
    session, primary = team_session()
    run_plan(session, phase("a", "say `x`", count=3))
    runner.run(primary.id)
    run = WorkflowRun.objects.get(session=session)
    runs.drive(run.pk)
    WorkflowRun.objects.filter(pk=run.pk).update(deadline=run.created_at - timedelta(seconds=1))
    runs.drive(run.pk)
    settle(session)
    kinds = [event.type for event in entries(session) if event.type.startswith("workflow_run.")]
    assert kinds[-3:] == [ev.RUN_ERROR, ev.PHASE_ENDED, ev.RUN_ENDED]
    assert entries(session, ev.RUN_ENDED)[0].payload["result"]["error"]["type"] == "timeout_error"
    assert not Thread.objects.filter(workflow_run_id=run.pk).exclude(status="terminated").exists()
    assert session.status == "idle"


def paused() -> tuple[Session, WorkflowRun]:
    """A session whose run rests at its cap."""
    session, _ = team_session()
    Session.objects.filter(pk=session.pk).update(limits={"model_requests": 3})
    run_plan(session, phase("a", "say `x`", count=4))
    settle(session)
    run = WorkflowRun.objects.get(session=session)
    assert (run.status, session.status) == ("idle", "idle")
    return session, run


def test_the_time_of_a_paused_run_runs_out_too() -> None:
    session, run = paused()
    assert runs.due() == []
    WorkflowRun.objects.filter(pk=run.pk).update(deadline=run.created_at)
    assert runs.due() == [run.pk]
    runs.drive(run.pk)
    assert entries(session, ev.RUN_ENDED)[0].payload["result"]["error"]["type"] == "timeout_error"
    assert runs.due() == []


def test_an_open_run_keeps_the_agent_as_it_is_and_ends_with_its_session() -> None:
    session, run = paused()
    who = acting(session.workspace)
    with pytest.raises(InvalidRequest, match=run.pk) as refused:
        update_session(session.pk, {"agent": {"tools": []}}, who)
    assert refused.value.details == {"error_code": "workflow_run_open"}
    archive_session(session.pk, who)
    assert entries(session, ev.RUN_ENDED)[0].payload["result"] == {"type": "stopped"}
    assert not Thread.objects.filter(session=session).exclude(status="terminated").exists()


def test_a_run_can_be_stopped_and_only_ten_are_open() -> None:
    session, primary = team_session()
    for _ in range(11):
        run_plan(session, phase("a", "say `x`"))
    runner.run(primary.id)
    (refused,) = entries(session, ev.RUN_ERROR)
    assert refused.payload == {
        "workflow_run_id": None,
        "error": {
            "type": "max_workflow_runs_error",
            "message": "10 workflow runs are open already, which is the limit.",
        },
    }
    run = WorkflowRun.objects.filter(session=session).first()
    assert run is not None
    say(session, f"Use ant__stop_workflow with {json.dumps({'run_id': run.pk})}.")
    runner.run(primary.id)
    assert entries(session, ev.RUN_ENDED)[0].payload["result"] == {"type": "stopped"}
    settle(session)
    assert len(entries(session, ev.RUN_ENDED)) == 10


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        ([phase("a b", "x")], "must be 1 to 64 letters"),
        ([phase("a", "x"), phase("a", "x")], "Two phases are called"),
        ([phase("a", "{{results.b}}")], "no phase 'b' before it"),
        ([phase("a", "{{whatever}}")], "is no placeholder"),
        ([phase("a", "x", agent="nobody")], "there is no agent 'nobody'"),
        ([phase("a", "x", items=[])], "a list that isn't empty"),
        ([phase("a", "x", items="b")], "to take items from"),
        ([phase("a", "x", count=2_000)], "count must be 1 to 1,000"),
        ([phase("a", "x", count=600), phase("b", "x", count=600)], "starts 1,200 agents"),
    ],
)
def test_a_plan_that_does_not_hold_together_is_refused(plan: list[dict[str, Any]], why: str) -> None:
    session, primary = team_session(member("alpha"))
    run_plan(session, *plan)
    runner.run(primary.id)
    (result,) = entries(session, ev.OPS_TEAM_RESULT)
    assert result.payload["is_error"] and why in texts(result)
    assert not WorkflowRun.objects.exists()
