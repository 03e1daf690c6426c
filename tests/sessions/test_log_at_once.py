"""A lease's append after its own last one: one statement, and only while nobody touched the session in between."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from sessions import events as ev
from sessions import log
from sessions.events import Draft
from sessions.models import Session
from sessions.verify import verify
from tests.live import wait_for
from tests.sessions.rows import make_session
from tests.sessions.test_log import TEXT, Held, about, claim, idle, types

if TYPE_CHECKING:
    from sessions.models import Event, Thread

pytestmark = pytest.mark.django_db(transaction=True)  # a transaction is never told from itself

USAGE = {"usage": {"input_tokens": 12, "output_tokens": 3, "model_requests": 1}, "cost": "0.25", "model": "demo"}


def running() -> tuple[Session, Thread, Held]:
    """A session at work, and its lease, which has appended once."""
    session, thread = make_session()
    lease = claim(thread)
    log.append(session.id, thread.id, [Draft(ev.THREAD_RUNNING, about(thread))], lease=lease)
    return session, thread, lease


def counted(session: Session, thread: Thread, drafts: list[Draft], lease: Held) -> tuple[list[Event], int]:
    """What an append stored, and how many statements it took."""
    with CaptureQueriesContext(connection) as queries:
        stored = log.append(session.id, thread.id, drafts, lease=lease)
    return stored, len(queries)


def test_a_step_is_one_statement_an_append_and_the_rows_agree_with_the_log() -> None:
    session, thread, lease = running()
    _, first = counted(session, thread, [Draft(ev.MODEL_START)], lease)
    asked = Draft(ev.TOOL_USE, {"name": "bash", "input": {}, "evaluated_permission": "allow"})
    stored, second = counted(session, thread, [asked, Draft(ev.MODEL_END, {}, private=USAGE)], lease)
    answer = Draft(ev.TOOL_RESULT, {"tool_use_id": stored[0].id, "content": []})
    _, third = counted(session, thread, [answer], lease)
    assert [first, second, third] == [1, 1, 1]
    session.refresh_from_db()
    assert session.usage["input_tokens"] == 12
    assert lease.seen.spent.usage.output_tokens == 3
    assert [event.seq for event in log.read(session.id)] == [1, 2, 3, 4, 5, 6]
    assert verify(session) == []


def test_what_another_appended_in_between_is_counted_and_kept() -> None:
    session, thread, lease = running()
    log.append(session.id, thread.id, [Draft(ev.USER_MESSAGE, TEXT, processed=False)])
    (stored,), statements = counted(session, thread, [Draft(ev.MODEL_END, {}, private=USAGE)], lease)
    assert statements > 1
    assert stored.prior == log.read(session.id)[-2].seq
    assert counted(session, thread, [Draft(ev.MODEL_START)], lease)[1] == 1
    assert verify(Session.objects.get(pk=session.pk)) == []


def test_a_change_of_the_session_alone_is_noticed_too() -> None:
    session, thread, lease = running()
    budget = {"max_list_cost": {"amount": "100", "currency": "USD"}}
    Session.objects.filter(pk=session.pk).update(budget=budget)
    log.append(session.id, thread.id, [Draft(ev.MODEL_END, {}, private=USAGE)], lease=lease)
    assert lease.seen.budget == budget
    session.refresh_from_db()
    assert session.budget == budget


def test_a_renewed_lease_still_appends_at_once() -> None:
    session, thread, lease = running()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE agent_sessions_thread SET lease_expires = lease_expires + interval '1 s' WHERE id = %s", [thread.id]
        )
    assert counted(session, thread, [Draft(ev.MODEL_START)], lease)[1] == 1


def test_what_holds_only_while_nobody_touches_the_session_is_not_written_afterwards() -> None:
    session, thread, lease = running()
    log.append(session.id, thread.id, [Draft(ev.MODEL_START)], lease=lease, untouched=True)
    Session.objects.filter(pk=session.pk).update(permission_rules=[])
    with pytest.raises(log.Touched):
        log.append(session.id, thread.id, [Draft(ev.MODEL_END, {}, private=USAGE)], lease=lease, untouched=True)
    assert types(session) == [ev.STATUS_RUNNING, ev.THREAD_RUNNING, ev.MODEL_START]


@pytest.mark.parametrize("seconds", [60, -1], ids=["taken over", "expired"])
def test_a_lease_that_was_lost_in_between_writes_nothing(seconds: int) -> None:
    session, thread, lease = running()
    successor = claim(thread, seconds=seconds)
    lost = lease if seconds > 0 else successor
    lost.kept = lease.kept
    with pytest.raises(log.LeaseLost):
        log.append(session.id, thread.id, [Draft(ev.MODEL_START)], lease=lost)
    assert types(session) == [ev.STATUS_RUNNING, ev.THREAD_RUNNING]


def test_a_deleted_session_is_unknown() -> None:
    session, thread, lease = running()
    session.delete()
    with pytest.raises(log.UnknownThread):
        log.append(session.id, thread.id, [Draft(ev.MODEL_START)], lease=lease)


@pytest.mark.parametrize(
    "draft",
    [
        Draft(ev.TOOL_USE, {"name": "bash", "input": {}, "evaluated_permission": "ask"}),
        Draft(ev.OPS_PROCESSED, {"event_ids": []}),
        Draft(ev.SESSION_ERROR, {"error": {"type": "unknown_error", "message": "", "retry_status": {"type": "none"}}}),
    ],
    ids=["a call that asks", "a mark of processing", "an error"],
)
def test_what_concerns_other_rows_goes_with_them(draft: Draft) -> None:
    session, thread, lease = running()
    stored, statements = counted(session, thread, [draft], lease)
    reaching = draft.type != ev.SESSION_ERROR
    assert (statements > 1) == reaching
    assert [event.id for event in log.read(session.id)][-1] == stored[-1].id
    assert verify(Session.objects.get(pk=session.pk)) == []


def test_in_a_transaction_of_the_caller_s_the_rows_are_read_again() -> None:
    session, thread, lease = running()
    budget = {"max_list_cost": {"amount": "100", "currency": "USD"}}
    with transaction.atomic():
        log.append(session.id, thread.id, [Draft(ev.MODEL_START)], lease=lease)
        Session.objects.filter(pk=session.pk).update(budget=budget)
        log.append(session.id, thread.id, [Draft(ev.MODEL_END, {}, private=USAGE)], lease=lease)
    session.refresh_from_db()
    assert session.budget == lease.seen.budget == budget
    assert verify(session) == []


def test_time_on_the_log_goes_on_and_never_back() -> None:
    session, thread, lease = running()
    ahead = lease.seen.clock.running_since
    assert ahead is not None
    moments = [
        log.append(session.id, thread.id, [Draft(ev.AGENT_THINKING)], lease=lease)[0].created_at for _ in range(3)
    ]
    assert moments == sorted(moments)
    assert timedelta(0) <= moments[-1] - ahead < timedelta(minutes=1)


def test_an_append_that_waited_for_another_goes_after_it() -> None:
    session, thread, lease = running()
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        log.append(session.id, thread.id, [Draft(ev.USER_MESSAGE, TEXT, processed=False)])
        later = pool.submit(_append_late, session, thread, lease)
        wait_for(_somebody_waits, 20)
    assert later.result(timeout=20) == ev.MODEL_START
    assert [event.type for event in log.read(session.id)][-2:] == [ev.USER_MESSAGE, ev.MODEL_START]
    log.append(session.id, thread.id, [idle(thread)], lease=lease)
    assert verify(Session.objects.get(pk=session.pk)) == []


@pytest.mark.parametrize("change", ["lease_expires = lease_expires + interval '1 s'", "fence = fence + 1"])
def test_an_append_that_waited_for_its_thread_is_whole_or_not_there(change: str) -> None:
    session, thread, lease = running()
    renewed = change.startswith("lease_expires")
    before = Session.objects.filter(pk=session.pk).values_list("last_seq", "updated_at").get()
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE agent_sessions_thread SET {change} WHERE id = %s", [thread.id])
        later = pool.submit(_append_late, session, thread, lease)
        wait_for(_somebody_waits, 20)
    if renewed:
        assert later.result(timeout=20) == ev.MODEL_START
        assert types(session)[-1] == ev.MODEL_START
    else:
        with pytest.raises(log.LeaseLost):
            later.result(timeout=20)
        assert Session.objects.filter(pk=session.pk).values_list("last_seq", "updated_at").get() == before
        assert types(session) == [ev.STATUS_RUNNING, ev.THREAD_RUNNING]
    assert verify(Session.objects.get(pk=session.pk)) == []


def _append_late(session: Session, thread: Thread, lease: Held) -> str:
    """What another connection appended, which is told from others by its name while it waits."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET application_name = 'waits'")
        (stored,) = log.append(session.id, thread.id, [Draft(ev.MODEL_START)], lease=lease)
        return stored.type
    finally:
        connection.close()


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # within a transaction the first look is kept
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'waits' AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])
