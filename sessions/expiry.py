"""Calls that waited too long for a person: they are refused, and the agent goes on without them.

How long is a cap (``approval_seconds``). The end of the wait stands on the thread (``wake_at`` while it is idle) from
the moment it began; when it comes, the caps of that moment decide, so raising one gives more time.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Min
from django.utils import timezone

from sessions import events as ev
from sessions import log
from sessions.caps import caps_of
from sessions.events import Draft
from sessions.models import Event, Session, Thread
from sessions.wake import wake_on_commit

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH = 100


def expire() -> list[str]:
    """Look at every wait that is over; returns the threads it belonged to."""
    due = Thread.objects.filter(status="idle", wake_at__lte=timezone.now()).order_by("wake_at")
    found = list(due.values_list("pk", "session_id")[:BATCH])
    for thread_id, session_id in found:
        _look(thread_id, session_id)
    return [thread_id for thread_id, _ in found]


def _look(thread_id: str, session_id: str) -> None:
    with transaction.atomic():
        session = Session.objects.select_for_update().get(pk=session_id)
        thread = Thread.objects.select_for_update().filter(pk=thread_id, status="idle").first()
        if thread is None or thread.wake_at is None or thread.wake_at > timezone.now():
            return
        waiting = [call["id"] for call in thread.pending if call["kind"] == "confirmation"]
        seconds = caps_of(session).approval_seconds
        until = _until(waiting, seconds)
        if waiting and until is not None and until <= timezone.now():
            drafts = _refusals(waiting, seconds or 0)
            waiting_still = [call["id"] for call in thread.pending if call["id"] not in waiting]
            log.append(session_id, thread_id, [*drafts, _next(thread, waiting_still, None)])
            if not waiting_still:
                wake_on_commit(thread_id)
        else:
            log.append(session_id, thread_id, [_next(thread, [call["id"] for call in thread.pending], until)])


def _until(waiting: Sequence[str], seconds: int | None) -> datetime | None:
    """When the wait for these calls is over; None if it isn't bounded (any more)."""
    asked: datetime | None = Event.objects.filter(pk__in=waiting).aggregate(first=Min("created_at"))["first"]
    return None if asked is None or seconds is None else asked + timedelta(seconds=seconds)


def _refusals(calls: Sequence[str], seconds: int) -> list[Draft]:
    text = f"Nobody allowed or denied this call within {seconds:,} seconds, so it was not run."
    content = [{"type": "text", "text": text}]
    note = Draft(ev.OPS_APPROVAL_EXPIRED, {"event_ids": list(calls), "seconds": seconds})
    results = [Draft(ev.TOOL_RESULT, {"tool_use_id": call, "content": content, "is_error": True}) for call in calls]
    return [note, *results]


def _next(thread: Thread, waiting: list[str], until: datetime | None) -> Draft:
    """The thread goes on, or waits for what is left."""
    about = {"session_thread_id": thread.pk, "agent_name": thread.agent_name}
    if not waiting:
        return Draft(ev.THREAD_RUNNING, about)
    stop = {"stop_reason": ev.requires_action(waiting), "stop_details": None}
    private = {"wake_at": until.isoformat()} if until else None
    return Draft(ev.THREAD_IDLE, {**about, **stop}, private=private)
