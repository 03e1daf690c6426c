"""The live readers' questions to the database, asked from a few threads so that the event loop never waits."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from django.db import connection
from django.db.models import OuterRef, Subquery

from contract.errors import NotFound
from sessions import events, frames, log
from sessions.models import Event, Session, Thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sessions.frames import Row

T = TypeVar("T")

READ_THREADS = 4
PAGE = 500
SPANS = (events.MODEL_START, events.MODEL_END)

_threads = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="live-read")


@dataclass(frozen=True, slots=True)
class Standing:
    """A session as one statement saw it: how long its log is, and where its threads stand."""

    last_seq: int
    status: str
    primary: str
    open_requests: frozenset[str]  # threads whose model request has begun and not ended
    over: frozenset[str]  # threads that are terminated


async def rows(session_id: str, after: int, thread_id: str | None = None, limit: int | None = None) -> list[Row]:
    """The next rows of a log after ``after``, ``limit`` and ``PAGE`` at most; of one thread if it is named."""
    count = PAGE if limit is None else min(limit, PAGE)
    return await in_thread(lambda: _rows(session_id, after, thread_id, count))


async def standing(session_id: str) -> Standing:
    """Where the session stands now. Raises ``NotFound``."""
    return await in_thread(lambda: _standing(session_id))


async def lengths(session_ids: Iterable[str]) -> dict[str, int]:
    """How long the logs of these sessions are; a session that is gone is left out."""
    wanted = list(session_ids)
    return await in_thread(lambda: dict(Session.objects.filter(id__in=wanted).values_list("id", "last_seq")))


async def in_thread(work: Callable[[], T]) -> T:
    """Do a piece of database work in a reading thread and give its connection back to the pool."""

    def run() -> T:
        try:
            return work()
        finally:
            connection.close()

    return await asyncio.get_running_loop().run_in_executor(_threads, run)


def _rows(session_id: str, after: int, thread_id: str | None, limit: int) -> list[Row]:
    entries = log.read(session_id, after=after, limit=limit, thread_id=thread_id)
    return frames.rows(entries, _processed(session_id, frames.processed_ids(entries)))


def _processed(session_id: str, event_ids: list[str]) -> dict[str, Event]:
    if not event_ids:
        return {}
    return {event.id: event for event in Event.objects.filter(session_id=session_id, id__in=event_ids)}


def _standing(session_id: str) -> Standing:
    last_span = Event.objects.filter(thread=OuterRef("id"), type__in=SPANS).order_by("-seq").values("type")[:1]
    threads = list(
        Thread.objects.filter(session_id=session_id)
        .annotate(span=Subquery(last_span))
        .values_list("id", "parent_id", "span", "session__last_seq", "session__status", "status")
    )
    if not threads:
        raise NotFound(f"Session {session_id} was not found.")
    return Standing(
        last_seq=threads[0][3],
        status=threads[0][4],
        primary=next((thread[0] for thread in threads if not thread[1]), ""),
        open_requests=frozenset(thread[0] for thread in threads if thread[2] == events.MODEL_START),
        over=frozenset(thread[0] for thread in threads if thread[5] == "terminated"),
    )
