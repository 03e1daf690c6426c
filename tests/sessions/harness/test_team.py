"""Threads that work together, with the demo model and no sandbox: started, told, reporting back, sharing tasks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract.errors import InvalidRequest
from contract.roles import Role
from sessions import events as ev
from sessions import threads
from sessions.actions import retry_session
from sessions.models import Thread
from tests.sessions.rows import CUSTOM, acting
from tests.sessions.teams import entries, member, say, send, settle, team_session, texts
from tests.web.conftest import person

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


def use(tool: str, **given: Any) -> str:
    return f"Use ant__{tool} with {json.dumps(given)}."


def test_agents_are_started_work_and_report_to_the_one_that_started_them() -> None:
    session, primary = team_session(member("alpha"), member("beta"))
    say(session, "Ask alpha to say `one` and ask beta to say `two` in parallel.")
    settle(session)
    children = list(Thread.objects.filter(parent=primary).order_by("created_at"))
    assert [(child.agent_name, child.status) for child in children] == [("alpha", "idle"), ("beta", "idle")]
    reports = [event for event in entries(session, ev.MESSAGE_RECEIVED) if event.thread_id == primary.id]
    assert {(event.payload["from_agent_name"], texts(event)) for event in reports} == {
        ("alpha", "one"),
        ("beta", "two"),
    }
    last = [event for event in entries(session, ev.AGENT_MESSAGE) if event.thread_id == primary.id][-1]
    assert "alpha: one" in texts(last) and "beta: two" in texts(last)
    assert (session.status, session.stop_reason) == ("idle", ev.END_TURN)


def test_the_session_rests_only_once() -> None:
    session, _ = team_session(member("alpha"))
    say(session, "Ask alpha to say `one`.")
    settle(session)
    shown = [event.type for event in entries(session, ev.STATUS_RUNNING, ev.STATUS_IDLE)]
    assert shown == [ev.STATUS_RUNNING, ev.STATUS_IDLE]


def test_a_childs_own_events_stay_on_its_stream() -> None:
    session, primary = team_session(member("alpha"))
    say(session, "Ask alpha to say `one`.")
    settle(session)
    child = Thread.objects.get(parent=primary)
    shown = {event.type for event in entries(session) if event.thread_id == child.id and event.on_session}
    assert {one for one in shown if not ev.is_ops(one)} == {ev.THREAD_RUNNING, ev.THREAD_IDLE}
    received = next(event for event in entries(session, ev.MESSAGE_RECEIVED) if event.thread_id == child.id)
    assert "from_agent_name" not in received.payload and texts(received) == "say `one`"


def test_a_child_that_fails_is_a_result_for_its_parent() -> None:
    session, primary = team_session(member("alpha"))
    say(session, "[[demo: delegate=alpha child=fail=400xall]] hello")
    settle(session)
    child = Thread.objects.get(parent=primary)
    assert child.status == "terminated"
    (report,) = [event for event in entries(session, ev.MESSAGE_RECEIVED) if event.thread_id == primary.id]
    assert texts(report).startswith("I failed and my thread has ended")
    assert (session.status, session.stop_reason) == ("idle", ev.END_TURN)


def test_an_inline_agent_has_its_makers_model_and_the_tools_it_was_given() -> None:
    session, primary = team_session()
    definition = {"system": "You count.", "tools": []}
    say(session, use("start_agent", agent="counter", message="say `three`", definition=definition))
    settle(session)
    child = Thread.objects.get(parent=primary)
    assert (child.agent["type"], child.agent["name"], child.agent["tools"]) == ("inline", "counter", [])
    assert child.agent["model"] == session.agent_snapshot["model"]


def test_what_cannot_be_done_is_an_error_result() -> None:
    session, _ = team_session(member("alpha"))
    say(session, use("start_agent", agent="nobody", message="hello"))
    say(session, use("archive_agent", agent="alpha"))
    settle(session)
    results = entries(session, ev.OPS_TEAM_RESULT)
    assert [event.payload["is_error"] for event in results] == [True, True]
    assert not Thread.objects.filter(session=session).exclude(parent=None).exists()


def test_no_more_than_25_agents_are_open_at_once() -> None:
    session, primary = team_session(member("alpha"))
    say(session, " ".join(use("start_agent", agent="alpha", message="say `hi`") for _ in range(27)) + " in parallel")
    settle(session)
    assert Thread.objects.filter(parent=primary).count() == 25
    refused = [event for event in entries(session, ev.OPS_TEAM_RESULT) if event.payload["is_error"]]
    assert len(refused) == 2 and "25 agents are open" in texts(refused[0])


def test_children_write_to_each_other() -> None:
    session, primary = team_session(member("alpha"), member("beta"))
    say(session, "Ask beta to say `ready`.")
    settle(session)
    say(session, "Ask alpha to ask beta to say `pong`.")
    settle(session)
    alpha = Thread.objects.get(parent=primary, agent_name="alpha")
    beta = Thread.objects.get(parent=primary, agent_name="beta")
    told = [event for event in entries(session, ev.MESSAGE_RECEIVED) if event.thread_id == beta.id]
    assert told[-1].payload["from_session_thread_id"] == alpha.id
    assert told[-1].payload["from_agent_name"] == "alpha"


def test_two_agents_that_only_talk_are_stopped() -> None:
    session, primary = team_session(member("alpha"))
    for _ in range(20):
        say(session, "[[demo: delegate=alpha]] say `hi`")
        settle(session)
    assert not [event for event in entries(session, ev.OPS_TEAM_RESULT) if event.payload["is_error"]]
    messages = " ".join(f"ask alpha to say `hi {number}`," for number in range(20))
    say(session, messages)
    settle(session)
    told = [texts(event) for event in entries(session, ev.OPS_TEAM_RESULT)]
    assert any("neither of you has done anything else" in text for text in told)
    assert any(text.startswith("The message was not sent") for text in told)
    primary.refresh_from_db()
    assert primary.stop_reason == {**ev.RETRIES_EXHAUSTED, "holdfast": {"loop": "only_talk", "with": "alpha"}}
    assert session.stop_reason == primary.stop_reason
    say(session, "Say fine.")
    settle(session)
    assert session.stop_reason == ev.END_TURN


def test_agents_that_pass_messages_round_in_a_circle_are_paused_and_a_person_lets_them_go_on() -> None:
    session, primary = team_session(*(member(name) for name in ("alpha", "beta", "gamma")))
    for name in ("beta", "gamma", "alpha"):
        say(session, f"Ask {name} to say `ready`.")
        settle(session)
    circle = "ask beta to ask gamma to ask alpha to " * 40
    say(session, f"Ask alpha to {circle} say `done`.")
    settle(session)
    paused = [one for one in Thread.objects.filter(parent=primary) if ev.only_talks(one.stop_reason)]
    assert [one.status for one in paused] == ["idle"], "it is paused, neither ended nor reported as failed"
    assert ev.only_talks(session.stop_reason), "the session says so although its first thread has ended its turn"
    assert len(entries(session, ev.OPS_ONLY_TALK)) == 1
    (error,) = entries(session, ev.SESSION_ERROR)
    assert "only write to each other" in error.payload["error"]["message"]
    _, operator = person("operator", session.workspace, Role.OPERATOR)
    page = operator.get(f"/sessions/{session.pk}/inspect/team/").content.decode()
    assert f"{paused[0].agent_name} is paused" in page
    assert "Two agents only write to each other" in operator.get(f"/sessions/{session.pk}/").content.decode()
    say(session, use("list_agents"))
    settle(session)
    assert "paused, as it only exchanged messages" in texts(entries(session, ev.OPS_TEAM_RESULT)[-1])
    assert ev.only_talks(session.stop_reason), "what the first thread says to itself ends no other's pause"
    assert operator.post(f"/sessions/{session.pk}/hold/retry/").status_code == 302
    settle(session)
    assert session.stop_reason == ev.END_TURN
    assert "is paused" not in operator.get(f"/sessions/{session.pk}/inspect/team/").content.decode()
    with pytest.raises(InvalidRequest, match="no turn that gave up"):
        retry_session(session.pk, acting(session.workspace))


def test_one_agent_gets_a_task_and_a_task_waits_for_those_before_it() -> None:
    session, _ = team_session(member("alpha"))
    say(session, use("tasks", action="create", title="Build"))
    say(session, use("tasks", action="create", title="Ship", depends_on=["task-1"]))
    settle(session)
    say(session, use("tasks", action="claim", task_id="task-2"))
    say(session, use("tasks", action="claim", task_id="task-1"))
    settle(session)
    say(session, f"Ask alpha to {use('tasks', action='claim', task_id='task-1')}")
    settle(session)
    say(session, use("tasks", action="finish", task_id="task-1", result="built"))
    say(session, use("tasks", action="claim", task_id="task-2"))
    settle(session)
    results = [(texts(event), event.payload["is_error"]) for event in entries(session, ev.OPS_TEAM_RESULT)]
    assert results[0] == ("Created task-1.", False)
    assert results[2] == ("task-2 waits for task-1; choose another.", True)
    assert results[3] == ("task-1 is yours.", False)
    assert ("task-1 is claimed by coordinator; choose another.", True) in results
    assert results[-2:] == [("task-1 is finished.", False), ("task-2 is yours.", False)]


def test_a_childs_question_to_its_client_is_the_sessions_question() -> None:
    session, primary = team_session(member("alpha", [CUSTOM]))
    say(session, "[[demo: delegate=alpha child=custom=ask_caller]] please")
    settle(session)
    child = Thread.objects.get(parent=primary)
    (call,) = entries(session, ev.CUSTOM_TOOL_USE)
    assert call.on_session and call.payload["session_thread_id"] == child.id
    assert session.stop_reason == ev.requires_action([call.id])
    with pytest.raises(InvalidRequest, match=f"waits for answers to {call.id}"):
        say(session, "and?")


def test_an_answer_goes_to_the_thread_that_asked() -> None:
    session, primary = team_session(member("alpha", [CUSTOM]))
    say(session, "[[demo: delegate=alpha child=custom=ask_caller]] please")
    settle(session)
    (call,) = entries(session, ev.CUSTOM_TOOL_USE)
    answer = {"custom_tool_use_id": call.id, "content": [{"type": "text", "text": "forty-two"}]}
    (echo,) = send(session, {"type": ev.USER_CUSTOM_TOOL_RESULT, **answer})
    child = Thread.objects.get(parent=primary)
    assert (echo.thread_id, echo.on_session, echo.payload["session_thread_id"]) == (child.id, True, child.id)
    settle(session)
    (report,) = [event for event in entries(session, ev.MESSAGE_RECEIVED) if event.thread_id == primary.id]
    assert "forty-two" in texts(report)
    assert session.stop_reason == ev.END_TURN


def test_an_interrupt_of_one_thread_leaves_the_others() -> None:
    session, primary = team_session(member("alpha", [CUSTOM]), member("beta", [CUSTOM]))
    say(session, "[[demo: delegate=alpha child=custom=ask_caller]] please")
    say(session, "[[demo: delegate=beta child=custom=ask_caller]] please")
    settle(session)
    alpha = Thread.objects.get(parent=primary, agent_name="alpha")
    (echo,) = send(session, {"type": ev.USER_INTERRUPT, "session_thread_id": alpha.id})
    assert echo.on_session and echo.thread_id == alpha.id
    settle(session)
    beta = Thread.objects.get(parent=primary, agent_name="beta")
    assert session.stop_reason == ev.requires_action([beta.pending[0]["id"]])
    assert not [event for event in entries(session, ev.MESSAGE_SENT) if event.thread_id == alpha.id]
    send(session, {"type": ev.USER_INTERRUPT})
    settle(session)
    assert session.stop_reason == ev.END_TURN
    assert not Thread.objects.exclude(pending=[]).exists()
    with pytest.raises(InvalidRequest, match="no running thread"):
        send(session, {"type": ev.USER_INTERRUPT, "session_thread_id": "sthr_none"})


def test_a_thread_that_rests_can_be_archived_and_makes_room() -> None:
    session, primary = team_session(member("alpha"))
    say(session, "Ask alpha to say `one`.")
    settle(session)
    child = Thread.objects.get(parent=primary)
    caller = acting(session.workspace)
    archived = threads.archive_thread(session.id, child.id, caller)
    assert (archived.status, archived.archived_at is not None) == ("terminated", True)
    with pytest.raises(InvalidRequest, match="primary thread"):
        threads.archive_thread(session.id, primary.id, caller)
    settle(session)
    say(session, use("archive_agent", agent="alpha"))
    settle(session)
    assert entries(session, ev.OPS_TEAM_RESULT)[-1].payload["is_error"]


def test_an_advisor_is_asked_about_the_conversation_in_a_thread_of_its_own() -> None:
    session, primary = team_session(advisor="demo")
    say(session, use("consult_advisor", question="say `be brave`"))
    settle(session)
    (advisor,) = Thread.objects.filter(parent=primary)
    assert (advisor.agent, advisor.agent_name) == ({"type": "advisor", "model": "demo"}, "anthropic.advisor")
    shown = [
        event.type for event in entries(session) if advisor.id in str(event.payload) or event.thread_id == advisor.id
    ]
    assert shown == [
        ev.THREAD_CREATED,
        ev.THREAD_RUNNING,
        ev.MESSAGE_RECEIVED,
        ev.MESSAGE_SENT,
        ev.THREAD_IDLE,
        ev.THREAD_TERMINATED,
    ]
    (result,) = entries(session, ev.OPS_TEAM_RESULT)
    assert (
        not result.payload["is_error"] and result.private is not None and result.private["usage"]["output_tokens"] > 0
    )
    assert session.stop_reason == ev.END_TURN


def test_an_advisor_that_fails_never_fails_the_turn() -> None:
    session, _ = team_session(advisor="demo")
    say(session, use("consult_advisor", question="[\u005bdemo: fail=400xall]]").replace("[[demo", "[\\u005bdemo"))
    settle(session)
    (result,) = entries(session, ev.OPS_TEAM_RESULT)
    assert result.payload["is_error"] and texts(result).startswith("The advisor could not be reached")
    assert session.stop_reason == ev.END_TURN
