"""The rows behind a log: what an append locks and what it writes, in one statement each."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from credentials import at_rest
from sessions.models import Session, readable
from sessions.prepared import plain
from sessions.projected import session_columns, thread_columns
from sessions.projections import said
from sessions.projections.columns import Clock, SessionColumns, Spent, ThreadColumns, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sessions.models import Event, Thread

    Statement = tuple[str, Sequence[Any]]

LOCK = """
SELECT s.last_seq, greatest(clock_timestamp(), s.updated_at), s.status, s.stop_reason, s.usage, s.cost,
       s.cost_known, s.active_seconds, s.running_since, s.ended_at, s.snapshot,
       t.fence, coalesce(t.lease_expires > clock_timestamp(), false), t.created_at, t.status, t.stop_reason,
       t.usage, t.cost, t.cost_known, t.active_seconds, t.running_since, t.ended_at, t.startup_seconds,
       t.wake_at, t.pending, s.pending_count, s.budget, s.hour_price, t.last_seq, s.outcomes,
       CASE WHEN t.parent_id IS NULL THEN t.id ELSE
         (SELECT p.id FROM agent_sessions_thread p WHERE p.session_id = s.id AND p.parent_id IS NULL) END,
       s.outside_count, s.workspace_id, s.paused
FROM agent_sessions_session s JOIN agent_sessions_thread t ON t.session_id = s.id
WHERE s.id = %s AND t.id = %s FOR UPDATE OF s, t
"""
ENTRY = "SELECT FROM agent_sessions_event WHERE session_id = %s AND seq = %s"
UPDATE_SESSION = """
UPDATE agent_sessions_session SET last_seq=%s, updated_at=%s, status=%s, stop_reason=%s, usage=%s, cost=%s,
  cost_known=%s, active_seconds=%s, running_since=%s, ended_at=%s, snapshot=%s, outcomes=%s, budget=%s, paused=%s,
  pending_count=%s, outside_count=%s WHERE id=%s
"""
UPDATE_SESSION_SEQ = "UPDATE agent_sessions_session SET last_seq=%s, updated_at=%s WHERE id=%s"
UPDATE_THREAD = """
UPDATE agent_sessions_thread SET last_seq=%s, updated_at=%s, status=%s, stop_reason=%s, usage=%s, cost=%s,
  cost_known=%s, active_seconds=%s, running_since=%s, ended_at=%s, startup_seconds=%s, wake_at=%s, pending=%s
WHERE id=%s
"""
UPDATE_THREAD_SEQ = "UPDATE agent_sessions_thread SET last_seq=%s WHERE id=%s"
# A session's row has another ``xmin`` after every change, and every append to any of its threads changes it.
UNTOUCHED = " AND xmin = %s::xid RETURNING id"
LEASED = " AND fence = %s AND lease_expires > clock_timestamp() AND EXISTS (SELECT FROM part0) RETURNING id"
STILL = "EXISTS (SELECT FROM part1)"
# The session's row written without its thread's divides by zero: a statement that fails has written nothing.
ALL_OR_NONE = f"({STILL} OR (SELECT 1 / (1 - count(*)) = 0 FROM part0))"  # noqa: S608  texts of ours
# The database's clock was set back by more than this if it lags so far behind a worker's monotonic one: the log's time
# then goes on by the latter, so that a turn lasts as long as it does.
STEPPED_BACK = timedelta(seconds=2)
SEALED = "sealed"  # before the workspace's id in the index of words: what such an entry says can't be found
OUTCOMES = Session._meta.get_field("outcomes")


class Waiting(NamedTuple):
    """How many calls of a session wait for an answer, and how many of them for an outside worker's."""

    calls: int
    outside: int

    def after(self, before: Sequence[Mapping[str, str]], now: Sequence[Mapping[str, str]]) -> Waiting:
        """The counts once a thread's waiting calls are ``now``."""
        return Waiting(self.calls + len(now) - len(before), self.outside + outside(now) - outside(before))


def outside(pending: Sequence[Mapping[str, str]]) -> int:
    """How many of a thread's waiting calls an outside worker carries out."""
    return sum(call["kind"] == "result" for call in pending)


class Before(NamedTuple):
    """The columns as they were when the rows were locked."""

    session: SessionColumns
    thread: ThreadColumns
    waiting: Waiting


@dataclass(slots=True)
class Ledger:
    """The locked rows of one append, and what they become."""

    last_seq: int
    now: datetime
    fence: int
    leased: bool
    thread_created_at: datetime
    session: SessionColumns
    thread: ThreadColumns
    waiting: Waiting
    thread_seq: int
    primary_id: str
    workspace_id: str


@dataclass(frozen=True, slots=True)
class Kept:
    """The rows as a lease's last append left them: what the next one need not read if nobody touched them since.

    ``version`` is the ``xmin`` of the session's row; ``moment`` the database's time then, ``ticks`` our own monotonic
    one. The ledger's ``now`` is the log's time. ``series``: the version after the first of the lease's appends since
    which nobody else touched the session.
    """

    ledger: Ledger
    version: str
    series: str
    moment: datetime
    ticks: float

    def again(self) -> Ledger:
        """The rows as they are for an append now."""
        return replace(self.ledger, now=self.time(self.moment + self._passed()))

    def time(self, database: datetime) -> datetime:
        """The log's time, by the database's: it never goes back, and goes on by ours where that was set back."""
        expected = self.ledger.now + self._passed()
        return expected if expected - database > STEPPED_BACK else max(database, self.ledger.now)

    def _passed(self) -> timedelta:
        return timedelta(seconds=time.monotonic() - self.ticks)

    def guarded(self, updates: Sequence[Statement], fence: int) -> list[Statement]:
        """``updates`` that happen if the session's row is as it was, and the lease still holds."""
        (of_session, ours), (of_thread, its) = updates
        return [(of_session + UNTOUCHED, [*ours, self.version]), (of_thread + LEASED, [*its, fence])]


def agrees(cursor: Any, session_id: str, last_seq: int) -> bool:
    """Whether the log reaches as far as its session's locked row says, in which a number set by hand may be higher."""
    if not last_seq:
        return True
    cursor.execute(ENTRY, [session_id, last_seq])
    return cursor.fetchone() is not None


def locked(cursor: Any, session_id: str, thread_id: str) -> Ledger | None:
    """The locked rows of a thread and its session; None if they don't exist (any more)."""
    cursor.execute(LOCK, [session_id, thread_id])
    row = cursor.fetchone()
    if row is None:
        return None
    session = SessionColumns(
        clock=Clock(row[2], parsed(row[3]), row[7], row[8], row[9]),
        spent=Spent(Usage.load(parsed(row[4]) or {}), Decimal(row[5]), row[6]),
        snapshot=row[10],
        budget=readable.as_read(Session, "budget", row[26]),
        outcomes=tuple(readable.as_read(Session, "outcomes", row[29]) or ()),
        hour_price=Decimal(row[27]),
        paused=row[33],
    )
    thread = ThreadColumns(
        clock=Clock(row[14], parsed(row[15]), row[19], row[20], row[21]),
        spent=Spent(Usage.load(parsed(row[16]) or {}), Decimal(row[17]), row[18]),
        startup_seconds=row[22],
        wake_at=row[23],
        pending=tuple(parsed(row[24]) or ()),
    )
    waiting = Waiting(row[25], row[31])
    return Ledger(row[0], row[1], row[11], row[12], row[13], session, thread, waiting, row[28], row[30], row[32])


def taken(thread: Thread, version: str, fence: int, moment: datetime, ticks: float) -> Kept | None:
    """What a lease's first append can take for granted, of rows that were read together: ``version`` is the ``xmin`` of
    the session's. ``moment``: the database's time of the claim. None for a child, whose row doesn't name the primary.
    """
    if thread.parent_id is not None:
        return None
    session, now = thread.session, max(moment, thread.session.updated_at)
    columns = session_columns(session), thread_columns(thread), Waiting(session.pending_count, session.outside_count)
    there = thread.last_seq, thread.id, session.workspace_id
    ledger = Ledger(session.last_seq, now, fence, True, thread.created_at, *columns, *there)
    return Kept(ledger, version, version, moment, ticks)


def together(cursor: Any, statements: Sequence[Statement]) -> None:
    """Carry out several writes as one statement."""
    sql, values = joined(statements)
    cursor.execute(sql, plain(values))


def joined(statements: Sequence[Statement], *, guarded: bool = False) -> Statement:
    """Several writes as one statement: one round trip, planned once. No two may write the same row.

    With ``guarded`` ones at the head (``Kept.guarded``) all happen or none. It fails with a ``DataError`` if it is none
    because the lease is lost; if somebody else touched the session, it returns no row.
    """
    *others, (last, values) = statements
    parts = [
        f"part{number} AS ({sql})".replace("{still}", STILL if guarded else "true")
        for number, (sql, _) in enumerate(others)
    ]
    before = [value for _, more in others for value in more]
    last = last.replace("{still}", ALL_OR_NONE if guarded else "true")
    return f"WITH {', '.join(parts)} {last}" if parts else last, [*before, *values]


def updates(ledger: Ledger, session_id: str, thread_id: str, before: Before) -> list[Statement]:
    """What brings the columns of both rows up to date."""
    session, thread = ledger.session, ledger.thread
    if (session, ledger.waiting) == (before.session, before.waiting):
        of_session = UPDATE_SESSION_SEQ, [ledger.last_seq, ledger.now, session_id]
        if thread == before.thread:
            return [of_session, (UPDATE_THREAD_SEQ, [ledger.thread_seq, thread_id])]
    else:
        outcomes = json.dumps(OUTCOMES.stored(list(session.outcomes)))
        values = [ledger.last_seq, ledger.now, *_shared(session), session.snapshot, outcomes]
        values += [text(session.budget), session.paused, *ledger.waiting, session_id]
        of_session = UPDATE_SESSION, values
    values = [ledger.thread_seq, ledger.now, *_shared(thread), thread.startup_seconds, thread.wake_at]
    return [of_session, (UPDATE_THREAD, [*values, json.dumps(list(thread.pending)), thread_id])]


def words(event: Event, form: Any, workspace_id: str) -> tuple[str | None, str]:
    """What a search finds an entry by, and whose it is. Of sealed words the index is told only that there are some."""
    found = said.plain(said.said(event.type, event.payload)) or None
    return ("", f"{SEALED} {workspace_id}") if found and at_rest.is_sealed(form) else (found, workspace_id)


def text(value: Any) -> str | None:
    """JSON of a column that may be null."""
    return None if value is None else json.dumps(value)


def parsed(value: Any) -> Any:
    """Django's connections hand jsonb over as text."""
    return json.loads(value) if isinstance(value, str) else value


def row(event: Event, workspace_id: str) -> dict[str, Any]:
    """An entry as the table keeps it."""
    payload, private = event.stored()
    found, owner = words(event, payload, workspace_id)
    return {
        "id": event.id,
        "session_id": event.session_id,
        "thread_id": event.thread_id,
        "seq": event.seq,
        "type": event.type,
        "on_session": event.on_session,
        "payload": payload,
        "private": private,
        "created_at": event.created_at.isoformat(),
        "processed_at": event.processed_at.isoformat() if event.processed_at else None,
        "words": found,
        "owner": owner,
    }


def _shared(columns: SessionColumns | ThreadColumns) -> list[Any]:
    clock, spent = columns.clock, columns.spent
    return [
        clock.status,
        text(clock.stop_reason),
        json.dumps(spent.usage.dump()),
        spent.cost,
        spent.cost_known,
        clock.active_seconds,
        clock.running_since,
        clock.ended_at,
    ]
