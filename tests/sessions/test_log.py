from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from sessions import events as ev
from sessions import log
from sessions.events import Draft
from sessions.models import Event
from sessions.projections.columns import SessionColumns
from sessions.verify import verify
from tests.sessions.rows import make_session

if TYPE_CHECKING:
    from sessions.ledgers import Kept
    from sessions.models import Session, Thread

pytestmark = pytest.mark.django_db

TEXT = {"content": [{"type": "text", "text": "hello"}]}


@dataclass
class Held:
    fence: int
    seen: SessionColumns = field(default_factory=SessionColumns)
    kept: Kept | None = None


def about(thread: Thread, **fields: Any) -> dict[str, Any]:
    return {"session_thread_id": thread.id, "agent_name": "Demo", **fields}


def idle(thread: Thread, stop: dict[str, Any] | None = None) -> Draft:
    return Draft(ev.THREAD_IDLE, about(thread, stop_reason=stop or ev.END_TURN, stop_details=None))


def types(session: Session) -> list[str]:
    return [event.type for event in log.read(session.id)]


def claim(thread: Thread, seconds: int = 60) -> Held:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE agent_sessions_thread SET fence = fence + 1, "
            "lease_expires = clock_timestamp() + %s * interval '1 s' "
            "WHERE id = %s RETURNING fence",
            [seconds, thread.id],
        )
        return Held(cursor.fetchone()[0])


def test_numbers_are_gapless_and_start_at_one() -> None:
    session, thread = make_session()
    log.append(session.id, thread.id, [Draft(ev.USER_MESSAGE, TEXT), Draft(ev.USER_MESSAGE, TEXT)])
    log.append(session.id, thread.id, [Draft(ev.USER_MESSAGE, TEXT)])
    assert [event.seq for event in log.read(session.id)] == [1, 2, 3]


def test_the_session_runs_and_rests_with_its_thread_in_the_documented_order() -> None:
    session, thread = make_session()
    log.append(session.id, thread.id, [Draft(ev.USER_MESSAGE, TEXT), Draft(ev.THREAD_RUNNING, about(thread))])
    session.refresh_from_db()
    assert session.status == "running"
    assert session.running_since is not None
    log.append(session.id, thread.id, [idle(thread)])
    assert types(session) == [
        ev.USER_MESSAGE,
        ev.STATUS_RUNNING,
        ev.THREAD_RUNNING,
        ev.THREAD_IDLE,
        ev.SESSION_USAGE,
        ev.STATUS_IDLE,
    ]
    session.refresh_from_db()
    assert session.status == "idle"
    assert session.stop_reason == ev.END_TURN
    assert session.running_since is None


def test_usage_on_the_log_is_what_the_columns_say() -> None:
    session, thread = make_session()
    log.append(session.id, thread.id, [Draft(ev.THREAD_RUNNING, about(thread))])
    private = {"usage": {"input_tokens": 12, "output_tokens": 3, "model_requests": 1}, "cost": "0.03"}
    log.append(session.id, thread.id, [Draft(ev.MODEL_END, {}, private=private), idle(thread)])
    usage = next(e for e in log.read(session.id) if e.type == ev.SESSION_USAGE).payload["usage"]
    session.refresh_from_db()
    assert usage["input_tokens"] == session.usage["input_tokens"] == 12
    assert usage["list_cost"] == {"amount": "3", "currency": "USD"}
    assert str(session.cost).startswith("0.03")


def test_a_cost_that_is_not_known_is_not_guessed() -> None:
    session, thread = make_session()
    private = {"usage": {"input_tokens": 12}, "cost": None}
    log.append(
        session.id, thread.id, [Draft(ev.THREAD_RUNNING, about(thread)), Draft(ev.MODEL_END, {}, private=private)]
    )
    log.append(session.id, thread.id, [idle(thread)])
    usage = next(e for e in log.read(session.id) if e.type == ev.SESSION_USAGE).payload["usage"]
    session.refresh_from_db()
    assert usage["list_cost"] is None
    assert not session.cost_known


def test_a_worker_that_lost_its_lease_writes_nothing() -> None:
    session, thread = make_session()
    old = claim(thread)
    new = claim(thread)
    with pytest.raises(log.LeaseLost):
        log.append(session.id, thread.id, [Draft(ev.USER_MESSAGE, TEXT)], lease=old)
    assert types(session) == []
    log.append(session.id, thread.id, [Draft(ev.USER_MESSAGE, TEXT)], lease=new)
    assert types(session) == [ev.USER_MESSAGE]


def test_an_expired_lease_writes_nothing_even_if_nobody_took_over() -> None:
    session, thread = make_session()
    held = claim(thread, seconds=-1)
    with pytest.raises(log.LeaseLost):
        log.append(session.id, thread.id, [Draft(ev.USER_MESSAGE, TEXT)], lease=held)
    assert types(session) == []


def test_a_decision_on_an_old_log_is_turned_away() -> None:
    session, thread = make_session()
    log.append(session.id, thread.id, [Draft(ev.USER_MESSAGE, TEXT)])
    with pytest.raises(log.Stale):
        log.append(session.id, thread.id, [idle(thread)], expect_seq=0)
    assert types(session) == [ev.USER_MESSAGE]


def test_what_follows_at_once_is_part_of_the_same_append() -> None:
    session, thread = make_session()
    seen: list[int] = []

    def then(stored: list[Event], columns: SessionColumns) -> list[Draft]:
        seen.extend(event.seq for event in stored)
        return [Draft(ev.AGENT_THINKING)]

    stored = log.append(session.id, thread.id, [Draft(ev.USER_MESSAGE, TEXT)], then=then)
    assert seen == [1]
    assert [(event.seq, event.type) for event in stored] == [(1, ev.USER_MESSAGE), (2, ev.AGENT_THINKING)]
    assert types(session) == [ev.USER_MESSAGE, ev.AGENT_THINKING]
    session.refresh_from_db()
    assert verify(session) == []


def test_an_unknown_thread_is_named() -> None:
    session, _ = make_session()
    with pytest.raises(log.UnknownThread):
        log.append(session.id, "sthr_nobody", [Draft(ev.USER_MESSAGE, TEXT)])


def test_a_queued_event_is_processed_by_an_entry_of_its_own() -> None:
    session, thread = make_session()
    (queued,) = log.append(session.id, thread.id, [Draft(ev.USER_MESSAGE, TEXT, processed=False)])
    assert queued.processed_at is None
    (note,) = log.append(session.id, thread.id, [Draft(ev.OPS_PROCESSED, {"event_ids": [queued.id]})])
    assert Event.objects.get(pk=queued.id).processed_at == note.created_at


def test_pending_calls_are_counted_until_they_are_answered() -> None:
    session, thread = make_session()
    ask = {"name": "bash", "input": {}, "evaluated_permission": "ask"}
    calls = log.append(
        session.id, thread.id, [Draft(ev.TOOL_USE, ask), Draft(ev.CUSTOM_TOOL_USE, {"name": "x", "input": {}})]
    )
    session.refresh_from_db()
    assert session.pending_count == 2
    answer = {"tool_use_id": calls[0].id, "result": "allow"}
    log.append(session.id, thread.id, [Draft(ev.USER_TOOL_CONFIRMATION, answer)])
    session.refresh_from_db()
    thread.refresh_from_db()
    assert session.pending_count == 1
    assert thread.pending == [{"id": calls[1].id, "kind": "custom"}]


def test_an_event_cannot_be_changed_or_deleted() -> None:
    session, thread = make_session()
    (event,) = log.append(session.id, thread.id, [Draft(ev.USER_MESSAGE, TEXT)])
    with pytest.raises(TypeError):
        event.save()
    with pytest.raises(TypeError):
        event.delete()


def test_verify_finds_nothing_in_a_sound_session_and_names_what_was_tampered_with() -> None:
    session, thread = make_session()
    (queued,) = log.append(session.id, thread.id, [Draft(ev.USER_MESSAGE, TEXT, processed=False)])
    log.append(
        session.id,
        thread.id,
        [Draft(ev.OPS_PROCESSED, {"event_ids": [queued.id]}), Draft(ev.THREAD_RUNNING, about(thread))],
    )
    private = {"usage": {"input_tokens": 12}, "cost": "0.5"}
    log.append(session.id, thread.id, [Draft(ev.MODEL_END, {}, private=private), idle(thread)])
    session.refresh_from_db()
    assert verify(session) == []
    Event.objects.filter(pk=queued.id).update(seq=99)
    session.status = "running"
    complaints = " ".join(verify(session))
    assert "seq jumps" in complaints
    assert "session.clock.status" in complaints
