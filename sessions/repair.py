"""Rows that don't agree with their log are made to: the log is the truth, and what was changed is told on it.

For rows that were edited by hand or restored from elsewhere. The log itself is never changed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.db import transaction

from sessions import events as ev
from sessions import log
from sessions.events import Draft
from sessions.models import Event, Session, Thread
from sessions.models.core import STATUSES
from sessions.threads import about
from sessions.verify import Recount, everything
from sessions.wake import wake_on_commit

if TYPE_CHECKING:
    from sessions.projections.columns import SessionColumns, ThreadColumns

logger = logging.getLogger(__name__)

AT_WORK = ("running", "rescheduling")
MESSAGES = (ev.USER_MESSAGE, ev.SYSTEM_MESSAGE, ev.MESSAGE_RECEIVED)
STARTS = (None, ev.END_TURN, ev.RETRIES_EXHAUSTED)  # a limit or a pause keeps what is queued


def repair(session_id: str) -> list[str]:
    """Write what the log says into the rows of a session and its threads; what differed, as sentences."""
    with transaction.atomic():
        session = Session.objects.select_for_update().get(pk=session_id)
        locked = Thread.objects.select_for_update().filter(session=session).order_by("id")
        threads = {thread.pk: thread for thread in locked}
        recount = Recount(session, threads)
        for event in everything(session_id):
            recount.take(event)
        differing = list(recount.compare())
        if not differing:
            return []  # what is wrong with the log itself stays: see ``manage.py verify``
        found = [*recount.complaints, *differing]
        logger.error("Session %s did not agree with its log and was repaired: %s", session_id, "; ".join(found))
        pending = sum(len(columns.pending) for columns in recount.by_thread.values())
        rows = Session.objects.filter(pk=session_id)
        counts = {"pending_count": pending, "outside_count": recount.outside()}
        rows.update(last_seq=recount.seq, **counts, **_session(recount.columns))
        for thread_id, columns in recount.by_thread.items():
            Thread.objects.filter(pk=thread_id).update(**_thread(columns))
        primary = next(thread.pk for thread in threads.values() if thread.parent_id is None)
        log.append(session_id, primary, [Draft(ev.OPS_REPAIRED, {"found": found[:50]})])
        for thread_id, columns in recount.by_thread.items():
            if threads[thread_id].status in AT_WORK and session.archived_at is None:
                _go_on(threads[thread_id], columns)
    return found


def _go_on(thread: Thread, columns: ThreadColumns) -> None:
    """Start the turn of a message that was queued only because the row said that the thread is at work."""
    if columns.clock.status != "idle" or columns.pending or columns.clock.stop_reason not in STARTS:
        return
    queued = Event.objects.filter(thread=thread, processed_at=None, type__in=MESSAGES).order_by("seq")
    if waiting := list(queued.values_list("pk", flat=True)):
        drafts = [Draft(ev.OPS_PROCESSED, {"event_ids": waiting}), Draft(ev.THREAD_RUNNING, about(thread))]
        log.append(thread.session_id, thread.pk, drafts)
        wake_on_commit(thread.pk)


def repair_unknown() -> None:
    """Repair the sessions whose status, or a thread's, is none that exists: nothing else would look at them."""
    named = set(Session.objects.exclude(status__in=STATUSES).values_list("pk", flat=True))
    named |= set(Thread.objects.exclude(status__in=STATUSES).values_list("session_id", flat=True))
    for session_id in named:
        repair(session_id)


def _shared(columns: SessionColumns | ThreadColumns) -> dict[str, Any]:
    clock, spent = columns.clock, columns.spent
    return {
        "status": clock.status,
        "stop_reason": clock.stop_reason,
        "active_seconds": clock.active_seconds,
        "running_since": clock.running_since,
        "ended_at": clock.ended_at,
        "usage": spent.usage.dump(),
        "cost": spent.cost,
        "cost_known": spent.cost_known,
    }


def _session(columns: SessionColumns) -> dict[str, Any]:
    own = {"snapshot": columns.snapshot, "budget": columns.budget, "paused": columns.paused}
    return {**_shared(columns), **own, "outcomes": list(columns.outcomes)}


def _thread(columns: ThreadColumns) -> dict[str, Any]:
    return {
        **_shared(columns),
        "startup_seconds": columns.startup_seconds,
        "wake_at": columns.wake_at,
        "pending": list(columns.pending),
    }
