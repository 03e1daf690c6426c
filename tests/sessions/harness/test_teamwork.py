"""What the inspector shows of a team that has really worked: its tasks, its messages, its workflow runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract.roles import Role
from sessions import events as ev
from sessions import teamwork
from sessions.models import Event
from tests.sessions.teams import member, say, settle, team_session
from tests.web.conftest import person

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


def use(tool: str, **given: Any) -> str:
    return f"Use ant__{tool} with {json.dumps(given)}."


def test_a_message_leads_to_both_of_its_events() -> None:
    session, _ = team_session(member("alpha"))
    for word in ("one", "two"):
        say(session, f"Ask alpha to say `{word}`.")
        settle(session)
    messages = teamwork.team(session)["messages"]
    told = [(one.sender, one.verb, one.receiver, one.text) for one in messages]
    assert told[0] == ("coordinator", "gave a task to", "alpha", "say `one`")
    assert [one[:3] for one in told[1:]] == [
        ("alpha", "reported to", "coordinator"),
        ("coordinator", "wrote to", "alpha"),
        ("alpha", "reported to", "coordinator"),
    ]
    for one in messages:
        sent = Event.objects.get(session=session, seq=one.sent_seq)
        received = Event.objects.get(session=session, seq=one.received_seq)
        assert (sent.type, received.type) == (ev.MESSAGE_SENT, ev.MESSAGE_RECEIVED)
        assert sent.payload["content"] == received.payload["content"]
        assert (sent.thread_id, received.thread_id) == (one.sender_id, one.receiver_id)


def test_tasks_are_shown_with_owner_state_and_what_they_wait_for() -> None:
    session, primary = team_session(member("alpha"))
    say(session, use("tasks", action="create", title="Build <it>"))
    say(session, use("tasks", action="create", title="Ship it", depends_on=["task-1"]))
    settle(session)
    say(session, use("tasks", action="claim", task_id="task-1"))
    settle(session)
    first, second = teamwork.team(session)["tasks"]
    assert (first.task.state, first.task.owner, first.waits_for) == ("claimed", primary.pk, [])
    assert (second.task.state, second.waits_for) == ("open", ["task-1"])
    _, client = person("viewer", session.workspace, Role.VIEWER)
    page = client.get(f"/sessions/{session.pk}/inspect/team/").content.decode()
    assert "Build &lt;it&gt;" in page
    assert "waits for task-1" in page
    assert f"/sessions/{session.pk}/threads/{primary.pk}/" in page
    say(session, use("tasks", action="finish", task_id="task-1", result="built"))
    settle(session)
    assert [one.task.state for one in teamwork.team(session)["tasks"]] == ["open", "finished"]


@pytest.mark.parametrize("sealed", [False, True])
def test_runs_are_shown_with_their_phases_and_agents(settings: Any, sealed: bool) -> None:
    settings.HOLDFAST_SEAL_EVENTS = sealed
    session, _ = team_session(member("alpha"))
    phases = [
        {"name": "find", "prompt": "say `{{item}}`", "items": ["a", "b"]},
        {"name": "judge", "prompt": "[[{{item}}", "items": ["demo: fail=400xall]]"], "stop_on_error": True},
    ]
    say(session, use("run_workflow", name="Survey", phases=phases))
    settle(session)
    (run,) = teamwork.team(session)["runs"]
    seen = [(phase.name, phase.state, phase.started, phase.returned, phase.failed) for phase in run.phases]
    assert seen == [("find", "ended", 2, 2, 0), ("judge", "ended", 1, 1, 1)]
    assert run.error == "An agent failed in a phase of the plan that stops on errors."
    assert [state for _, state in run.phases[1].agents] == ["failed"]
    _, client = person("viewer", session.workspace, Role.VIEWER)
    page = client.get(f"/sessions/{session.pk}/inspect/team/").content.decode()
    assert "Survey" in page
    assert f"/threads/{run.phases[0].agents[0][0]}/" in page


def test_a_session_without_a_team_has_no_such_tab() -> None:
    session, _ = team_session()
    _, client = person("viewer", session.workspace, Role.VIEWER)
    assert "/inspect/team/" in client.get(f"/sessions/{session.pk}/").content.decode()
    session.agent_snapshot = {**session.agent_snapshot, "multiagent": None}
    session.save(update_fields=["agent_snapshot"])
    assert "/inspect/team/" not in client.get(f"/sessions/{session.pk}/").content.decode()
