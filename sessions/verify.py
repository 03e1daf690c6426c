"""Does the database agree with its log? Recompute what is projected, and compare."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from sessions import events as ev
from sessions import ledgers
from sessions.events import Draft
from sessions.models import Event, Session, Thread
from sessions.projected import session_columns, thread_columns
from sessions.projections.columns import SessionColumns, ThreadColumns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

PAGE = 2000
PROJECTED = frozenset(
    {"status", "stop_reason", "usage", "cost", "active_seconds", "outcomes", "pending", "budget"}
)  # what the log has, of the columns that may turn out unreadable


def verify(session: Session) -> list[str]:
    """Every way in which a session's rows differ from its log, as sentences; empty means sound."""
    threads = {thread.id: thread for thread in Thread.objects.filter(session=session)}
    recount = Recount(session, threads)
    for event in everything(session.id):
        recount.take(event)
    return [*recount.complaints, *recount.compare(), *_settings(session, *threads.values())]


class Recount:
    """The fold of one whole log over empty columns."""

    def __init__(self, session: Session, threads: dict[str, Thread]) -> None:
        self.session, self.threads = session, threads
        self.seq = 0
        self.columns = SessionColumns(budget=session.budget, hour_price=session.hour_price)  # the first are on no event
        self.by_thread = {thread_id: ThreadColumns() for thread_id in threads}
        self.processed: dict[str, datetime | None] = {}
        self.stored: dict[str, datetime | None] = {}
        self.complaints: list[str] = []

    def take(self, event: Event) -> None:
        if event.seq != self.seq + 1:
            self.complaints.append(f"seq jumps from {self.seq} to {event.seq}")
        self.seq = event.seq
        thread = self.threads[event.thread_id]
        queued = event.processed_at is None or event.processed_at != event.created_at
        draft = Draft(event.type, event.payload, private=event.private, processed=not queued)
        try:
            columns = self.columns.after(draft, event.created_at)
            own = self.by_thread[event.thread_id].after(event.id, draft, event.created_at, thread.created_at)
        except ev.UNREADABLE as error:
            self.complaints.append(f"{event.id} ({event.type}) is damaged and was passed over: {error!r}")
            return
        self.columns, self.by_thread[event.thread_id] = columns, own
        self._processed(event, queued=queued)

    def _processed(self, event: Event, *, queued: bool) -> None:
        self.stored[event.id] = event.processed_at
        self.processed[event.id] = None if queued else event.created_at
        if event.type == ev.OPS_PROCESSED:
            for event_id in event.payload["event_ids"]:
                if self.processed.get(event_id) is None:
                    self.processed[event_id] = event.created_at

    def outside(self) -> int:
        """How many calls wait for an outside worker."""
        return sum(ledgers.outside(columns.pending) for columns in self.by_thread.values())

    def compare(self) -> Iterator[str]:
        if self.session.last_seq != self.seq:
            yield f"last_seq is {self.session.last_seq}, the log ends at {self.seq}"
        yield from _unreadable("session", self.session)
        yield from _differences("session", lambda: session_columns(self.session), self.columns)
        pending = sum(len(columns.pending) for columns in self.by_thread.values())
        if self.session.pending_count != pending:
            yield f"session.pending_count is {self.session.pending_count}, the log says {pending}"
        if self.session.outside_count != self.outside():
            yield f"session.outside_count is {self.session.outside_count}, the log says {self.outside()}"
        for thread_id, columns in self.by_thread.items():
            yield from _unreadable(thread_id, self.threads[thread_id])
            yield from _differences(thread_id, partial(thread_columns, self.threads[thread_id]), columns)
        for event_id, processed_at in self.processed.items():
            if self.stored[event_id] != processed_at:
                yield f"{event_id}.processed_at is {self.stored[event_id]}, the log says {processed_at}"


def _unreadable(name: str, row: Session | Thread) -> Iterator[str]:
    """What nobody can read in a row though the log has it."""
    for column in row.unreadable:
        if column in PROJECTED:
            yield f"{name}.{column} holds what can't be read"


def _settings(*rows: Session | Thread) -> Iterator[str]:
    """The same of what the log doesn't have: somebody has to set it anew."""
    for row in rows:
        yield from (f"{row.pk}.{column} can't be read" for column in row.unreadable if column not in PROJECTED)


def everything(session_id: str) -> Iterator[Event]:
    after = 0
    while page := list(Event.objects.filter(session_id=session_id, seq__gt=after).order_by("seq")[:PAGE]):
        yield from page
        after = page[-1].seq


def _differences(name: str, stored: Callable[[], Any], computed: Any) -> Iterable[str]:
    """Differences field by field; times spent are compared to the microsecond."""
    try:
        left = _flat(asdict(stored()))
    except ev.UNREADABLE as error:
        yield f"{name} holds what can't be read: {error!r}"
        return
    right = _flat(asdict(computed))
    for key in sorted(left.keys() | right.keys()):
        one, other = left.get(key), right.get(key)
        if isinstance(one, float) and isinstance(other, float) and abs(one - other) < 1e-6:
            continue
        if one != other:
            yield f"{name}.{key} is {one!r}, the log says {other!r}"


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict) and key in ("clock", "spent", "usage"):
            flat.update(_flat(item, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = item
    return flat
