from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from contract.errors import Conflict, InvalidRequest, PermissionDenied
from contract.roles import Role
from sessions import events as ev
from sessions import inbox, log
from sessions.events import Draft
from sessions.models import Event, Session
from sessions.verify import verify
from tests.sessions.rows import acting, make_session

if TYPE_CHECKING:
    from sessions.models import Thread

pytestmark = pytest.mark.django_db


def message(text: str = "hello") -> dict[str, Any]:
    return {"type": ev.USER_MESSAGE, "content": [{"type": "text", "text": text}]}


def interrupt(**fields: Any) -> dict[str, Any]:
    return {"type": ev.USER_INTERRUPT, **fields}


def confirm(call_id: str, result: str = "allow", **fields: Any) -> dict[str, Any]:
    return {"type": ev.USER_TOOL_CONFIRMATION, "tool_use_id": call_id, "result": result, **fields}


def answer(call_id: str) -> dict[str, Any]:
    return {"type": ev.USER_CUSTOM_TOOL_RESULT, "custom_tool_use_id": call_id, "content": []}


def send(session: Session, *events: dict[str, Any]) -> list[Event]:
    return inbox.send(session, events, acting(session.workspace))


def types(session: Session) -> list[str]:
    return [event.type for event in log.read(session.id)]


def waiting_session(*kinds: str, meanwhile: str = "") -> tuple[Session, Thread, list[str]]:
    """A session at rest with one unanswered call per kind (`ask`, `custom`); `meanwhile` was said while it ran."""
    session, thread = make_session()
    send(session, message())
    if meanwhile:
        send(session, message(meanwhile))
    about = {"session_thread_id": thread.id, "agent_name": "Demo"}
    drafts = []
    for kind in kinds:
        payload: dict[str, Any] = {"name": "bash", "input": {}}
        if kind == "ask":
            payload["evaluated_permission"] = "ask"
        drafts.append(Draft(ev.TOOL_USE if kind == "ask" else ev.CUSTOM_TOOL_USE, payload))
    calls = [event.id for event in log.append(session.id, thread.id, drafts)]
    stop = ev.requires_action(calls)
    log.append(session.id, thread.id, [Draft(ev.THREAD_IDLE, {**about, "stop_reason": stop, "stop_details": None})])
    return session, thread, calls


def stop_reason(session: Session) -> dict[str, Any]:
    session.refresh_from_db()
    assert session.status == "idle"
    reason: dict[str, Any] | None = session.stop_reason
    assert reason is not None
    return reason


def test_a_message_to_a_resting_session_starts_its_turn_in_the_documented_order() -> None:
    session, _ = make_session()
    (echo,) = send(session, message())
    assert echo.processed_at is not None
    assert types(session) == [ev.USER_MESSAGE, ev.STATUS_RUNNING, ev.THREAD_RUNNING]


def test_messages_of_one_request_make_one_turn() -> None:
    session, _ = make_session()
    echo = send(session, message("one"), message("two"))
    assert all(event.processed_at for event in echo)
    assert types(session) == [ev.USER_MESSAGE, ev.USER_MESSAGE, ev.STATUS_RUNNING, ev.THREAD_RUNNING]


def test_a_message_to_a_running_session_waits_in_the_queue() -> None:
    session, _ = make_session()
    send(session, message())
    (echo,) = send(session, message("more"))
    assert echo.processed_at is None


def test_answering_some_calls_rests_again_with_the_others() -> None:
    session, _, (first, second) = waiting_session("ask", "ask")
    send(session, confirm(first))
    assert stop_reason(session) == ev.requires_action([second])
    assert types(session)[-4:] == [ev.USER_TOOL_CONFIRMATION, ev.THREAD_IDLE, ev.SESSION_USAGE, ev.STATUS_IDLE]


def test_answering_all_calls_goes_on() -> None:
    session, _, (first, second) = waiting_session("ask", "custom")
    send(session, confirm(first, "deny", deny_message="no"), answer(second))
    session.refresh_from_db()
    assert session.status == "running"
    assert session.pending_count == 0
    assert verify(session) == []


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (lambda ids: confirm("sevt_nothing"), "There is no tool use sevt_nothing"),
        (lambda ids: confirm(ids[1]), "custom tool use"),
        (lambda ids: answer(ids[0]), "user.tool_confirmation"),
        (lambda ids: confirm(ids[0], "allow", deny_message="x"), "deny_message"),
    ],
)
def test_a_wrong_answer_names_its_field_and_writes_nothing(event: Any, text: str) -> None:
    session, _, calls = waiting_session("ask", "custom", "custom")
    before = types(session)
    with pytest.raises(InvalidRequest, match=r"events\.1") as caught:
        send(session, answer(calls[2]), event(calls))
    assert text in caught.value.message
    assert types(session) == before


def test_a_call_is_answered_once() -> None:
    session, _, (first, _) = waiting_session("ask", "ask")
    send(session, confirm(first))
    with pytest.raises(InvalidRequest, match="already been answered"):
        send(session, confirm(first))


def test_a_call_that_was_not_asked_about_takes_no_confirmation() -> None:
    session, thread = make_session()
    send(session, message())
    payload = {"name": "bash", "input": {}, "evaluated_permission": "allow"}
    (call,) = log.append(session.id, thread.id, [Draft(ev.TOOL_USE, payload)])
    with pytest.raises(InvalidRequest, match="evaluated_permission"):
        send(session, confirm(call.id))


def test_an_interrupt_while_calls_wait_closes_them_without_asking_the_model() -> None:
    session, _, _ = waiting_session("ask", "custom")
    send(session, interrupt())
    assert stop_reason(session) == ev.END_TURN
    results = [event for event in log.read(session.id) if event.type in ev.RESULTS]
    assert [result.payload["is_error"] for result in results] == [True, True]
    assert types(session)[-3:] == [ev.THREAD_IDLE, ev.SESSION_USAGE, ev.STATUS_IDLE]


def test_a_session_that_waits_for_answers_takes_no_message_but_behind_them() -> None:
    session, _, (first, second) = waiting_session("ask", "custom")
    before = types(session)
    for events in ([message()], [confirm(first), message()], [message(), confirm(first), answer(second)]):
        with pytest.raises(InvalidRequest, match=f"events.*waits for answers to .*{second}.*user.interrupt"):
            send(session, *events)
    assert types(session) == before
    *_, queued = send(session, confirm(first), answer(second), message("and then"))
    session.refresh_from_db()
    assert session.status == "running"
    assert queued.processed_at is None, "the turn that waited goes on first"


def test_messages_queued_behind_calls_start_the_next_turn_after_an_interrupt() -> None:
    session, _, _ = waiting_session("ask", meanwhile="instead")
    (queued,) = Event.objects.filter(session=session, processed_at=None)
    send(session, interrupt())
    session.refresh_from_db()
    assert session.status == "running"
    assert Event.objects.get(pk=queued.id).processed_at is not None


def test_interrupt_and_message_in_one_request_end_one_turn_and_start_the_next() -> None:
    session, _, _ = waiting_session("ask")
    send(session, interrupt(), message("instead"))
    assert types(session)[-4:] == [ev.STATUS_IDLE, ev.USER_MESSAGE, ev.STATUS_RUNNING, ev.THREAD_RUNNING]


def test_an_interrupt_of_a_resting_session_changes_nothing() -> None:
    session, _ = make_session()
    (echo,) = send(session, interrupt())
    assert echo.processed_at is not None
    assert types(session) == [ev.USER_INTERRUPT]


def test_an_interrupt_of_an_unknown_thread_is_refused() -> None:
    session, _ = make_session()
    with pytest.raises(InvalidRequest, match="session_thread_id"):
        send(session, interrupt(session_thread_id="sthr_nobody"))


def test_a_system_message_must_be_last_and_waits_for_answers() -> None:
    session, _, (call,) = waiting_session("custom")
    note = {"type": ev.SYSTEM_MESSAGE, "content": [{"type": "text", "text": "be brief"}]}
    with pytest.raises(InvalidRequest, match="last event"):
        send(session, note, answer(call))
    with pytest.raises(InvalidRequest, match="waits for answers"):
        send(session, note)
    send(session, answer(call), note)
    session.refresh_from_db()
    assert session.status == "running"


def test_an_ended_session_takes_no_events() -> None:
    session, thread = make_session()
    about = {"session_thread_id": thread.id, "agent_name": "Demo"}
    log.append(session.id, thread.id, [Draft(ev.THREAD_TERMINATED, about)])
    with pytest.raises(Conflict, match="terminated"):
        send(session, message())


def test_a_viewer_sends_nothing() -> None:
    session, _ = make_session()
    with pytest.raises(PermissionDenied):
        inbox.send(session, [message()], acting(session.workspace, Role.VIEWER))


def test_a_file_of_another_workspace_cannot_be_attached() -> None:
    session, _ = make_session()
    block = {"type": "image", "source": {"type": "file", "file_id": "file_elsewhere"}}
    with pytest.raises(InvalidRequest, match=r"events.0.content.0.source.file_id"):
        send(session, {"type": ev.USER_MESSAGE, "content": [block]})


def test_an_empty_or_endless_list_is_refused() -> None:
    session, _ = make_session()
    with pytest.raises(InvalidRequest, match="at least one"):
        send(session)
    with pytest.raises(InvalidRequest, match="At most 100"):
        send(session, *[message()] * 101)
