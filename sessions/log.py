"""The only door to the log: ``append`` writes events, ``read`` reads them.

An append is one transaction: it locks the session and thread rows, checks the caller's fence,
allots gapless ``seq`` numbers, inserts the events and brings the projected columns up to date.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from django.db import connection, transaction
from psycopg.types.json import Jsonb

from contract import ids, tracing
from credentials import at_rest
from sessions import events as ev
from sessions import nudges, slices
from sessions.approvals import book, notices
from sessions.models import Event, Session
from sessions.projected import session_columns
from sessions.projections import said
from sessions.projections.columns import (
    THREAD_STATUS,
    Clock,
    SessionColumns,
    Sibling,
    Spent,
    ThreadColumns,
    Usage,
    with_session_status,
)
from sessions.webhooks import outbox
from sessions.work import queue as work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sessions.events import Draft


class Lease(Protocol):
    """What an append needs of a lease: the thread's fence it was claimed with.

    ``seen``: what the session's columns were after the lease's last append.
    """

    seen: SessionColumns

    @property
    def fence(self) -> int: ...


class LeaseLost(Exception):
    """The fence has moved on: another worker owns the thread. Stop at once, write nothing."""


class Stale(Exception):
    """The log grew after ``expect_seq``: read again and decide again. Nothing was written."""


class UnknownThread(Exception):
    """The session or thread does not exist (any more)."""


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
INSERT = """
INSERT INTO agent_sessions_event
  (id, session_id, thread_id, seq, type, on_session, payload, private, created_at, processed_at, words) VALUES
"""
# Words are told apart by their workspace right in the index, so that a search never looks at another's.
ROW = """
(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, to_tsvector('simple', %s::text) || array_to_tsvector(ARRAY[%s::text]))
"""
UPDATE_SESSION = """
UPDATE agent_sessions_session SET last_seq=%s, updated_at=%s, status=%s, stop_reason=%s, usage=%s, cost=%s,
  cost_known=%s, active_seconds=%s, running_since=%s, ended_at=%s, snapshot=%s, outcomes=%s, budget=%s, paused=%s,
  pending_count=%s, outside_count=%s WHERE id=%s
"""
UPDATE_SEQ = """
WITH session AS (UPDATE agent_sessions_session SET last_seq=%s, updated_at=%s WHERE id=%s)
UPDATE agent_sessions_thread SET last_seq=%s WHERE id=%s
"""
UPDATE_THREAD = """
UPDATE agent_sessions_thread SET last_seq=%s, updated_at=%s, status=%s, stop_reason=%s, usage=%s, cost=%s,
  cost_known=%s, active_seconds=%s, running_since=%s, ended_at=%s, startup_seconds=%s, wake_at=%s, pending=%s
WHERE id=%s
"""
SEALED = "sealed"  # before the workspace's id in the index of words: what such an entry says can't be found
REWRITE = """
UPDATE agent_sessions_event SET payload=%s, private=%s,
  words=to_tsvector('simple', %s::text) || array_to_tsvector(ARRAY[%s::text]) WHERE id=%s
"""
MARK_PROCESSED = """
UPDATE agent_sessions_event SET processed_at=%s WHERE session_id=%s AND id = ANY(%s) AND processed_at IS NULL
"""
SIBLINGS = """
SELECT status, pending, stop_reason FROM agent_sessions_thread
WHERE session_id=%s AND id<>%s AND (workflow_run_id = '' OR status <> 'terminated')
UNION ALL SELECT 'running', '[]'::jsonb, NULL FROM agent_sessions_workflowrun
WHERE session_id=%s AND status='running'
"""
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


@dataclass(slots=True)
class _Ledger:
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


def append(
    session_id: str,
    thread_id: str,
    drafts: Sequence[Draft],
    *,
    lease: Lease | None = None,
    expect_seq: int | None = None,
) -> list[Event]:
    """Append ``drafts`` to a thread's log, all or none, and tell the readers after the commit.

    With a ``lease`` the append happens only while its fence is the thread's and unexpired.
    With ``expect_seq`` it happens only if nothing was appended to the thread after that number.
    Thread status events bring the session's own (spec core 8.4) with them. An
    ``ops.event_processed`` draft sets ``processed_at`` of the events it names.

    Raises ``LeaseLost``, ``Stale`` or ``UnknownThread``; then nothing was written.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        ledger = _lock(cursor, session_id, thread_id)
        if lease is not None and (ledger.fence != lease.fence or not ledger.leased):
            raise LeaseLost(thread_id)
        if expect_seq is not None and ledger.thread_seq > expect_seq:
            raise Stale(thread_id)
        before = ledger.session, ledger.thread, ledger.waiting
        stored = _fold(cursor, ledger, session_id, thread_id, drafts)
        _insert(cursor, stored, ledger.workspace_id)
        _mark_processed(cursor, session_id, stored)
        _write_columns(cursor, ledger, session_id, thread_id, before)
        slices.add(cursor, session_id, stored)
        outbox.note_log(session_id, stored)
        work.follow(session_id, stored)
        asked = book.keep(stored, [call["id"] for call in before[1].pending])
        if asked:
            notices.announce(asked)
        last_seq = ledger.last_seq
        transaction.on_commit(lambda: nudges.publish_events(session_id, last_seq))
    if lease is not None:
        lease.seen = ledger.session
    return stored


def restore(entries: Sequence[Event], workspace_id: str) -> None:
    """Put entries of another installation's log back as they were: with their sessions, which are new here."""
    with connection.cursor() as cursor:
        _insert(cursor, entries, workspace_id)


def rewrite(entry: Event) -> None:
    """Store an entry with its session anew, word for word, sealed as the settings ask now (``manage.py reseal``)."""
    payload, private = entry.stored()
    values: list[Any] = [Jsonb(payload), _jsonb(private), *_words(entry, payload, entry.session.workspace_id), entry.id]
    with connection.cursor() as cursor:
        cursor.execute(REWRITE, values)


def read(session_id: str, *, after: int = 0, limit: int = 1000, thread_id: str | None = None) -> list[Event]:
    """Events with ``seq`` greater than ``after``, in order; of one thread if it is named."""
    rows = Event.objects.filter(session_id=session_id, seq__gt=after)
    if thread_id is not None:
        rows = rows.filter(thread_id=thread_id)
    return list(rows.order_by("seq")[:limit])


def columns(session_id: str) -> SessionColumns:
    """What the session's columns are now. Raises ``UnknownThread``."""
    session = Session.objects.filter(pk=session_id).defer("agent_snapshot", "metadata").first()
    if session is None:
        raise UnknownThread(session_id)
    return session_columns(session)


def _lock(cursor: Any, session_id: str, thread_id: str) -> _Ledger:
    cursor.execute(LOCK, [session_id, thread_id])
    row = cursor.fetchone()
    if row is None:
        raise UnknownThread(thread_id)
    session = SessionColumns(
        clock=Clock(row[2], _json(row[3]), row[7], row[8], row[9]),
        spent=Spent(Usage.load(_json(row[4]) or {}), Decimal(row[5]), row[6]),
        snapshot=row[10],
        budget=_json(row[26]),
        outcomes=tuple(OUTCOMES.from_db_value(row[29], None, connection) or ()),
        hour_price=Decimal(row[27]),
        paused=row[33],
    )
    thread = ThreadColumns(
        clock=Clock(row[14], _json(row[15]), row[19], row[20], row[21]),
        spent=Spent(Usage.load(_json(row[16]) or {}), Decimal(row[17]), row[18]),
        startup_seconds=row[22],
        wake_at=row[23],
        pending=tuple(_json(row[24]) or ()),
    )
    waiting = Waiting(row[25], row[31])
    return _Ledger(row[0], row[1], row[11], row[12], row[13], session, thread, waiting, row[28], row[30], row[32])


def _jsonb(value: Any) -> Any:
    return None if value is None else Jsonb(value)


def _json(value: Any) -> Any:
    """Django's connections hand jsonb over as text."""
    return json.loads(value) if isinstance(value, str) else value


def _fold(cursor: Any, ledger: _Ledger, session_id: str, thread_id: str, drafts: Sequence[Draft]) -> list[Event]:
    others = _siblings(cursor, session_id, thread_id, drafts)
    waiting_before = ledger.thread.pending
    stored: list[Event] = []
    for draft in drafts:
        expanded = [draft]
        if draft.type in THREAD_STATUS:
            own = [call["id"] for call in ledger.thread.pending]
            if draft.type == ev.THREAD_TERMINATED:
                own = []
            expanded = with_session_status(draft, ledger.session, own, others, ledger.now)
        stored += [_take(ledger, session_id, thread_id, one) for one in expanded]
    ledger.waiting = ledger.waiting.after(waiting_before, ledger.thread.pending)
    return stored


def _take(ledger: _Ledger, session_id: str, thread_id: str, draft: Draft) -> Event:
    event_id = draft.id or ids.event_id()
    if draft.type == ev.SESSION_USAGE:
        usage = ledger.session.usage(ledger.now)
        draft = replace(draft, payload={"usage": usage, "budget": ledger.session.budget})
    if draft.type == ev.THREAD_RUNNING and (trace := tracing.carrier()):
        draft = replace(draft, private={**(draft.private or {}), tracing.FIELD: trace})
    ledger.last_seq += 1
    draft, owner = _placed(ledger, thread_id, draft)
    prior = ledger.thread_seq
    if owner == thread_id:
        ledger.thread_seq = ledger.last_seq
    ledger.session = ledger.session.after(draft, ledger.now)
    ledger.thread = ledger.thread.after(event_id, draft, ledger.now, ledger.thread_created_at)
    event = Event(
        id=event_id,
        session_id=session_id,
        thread_id=owner,
        seq=ledger.last_seq,
        type=draft.type,
        on_session=draft.on_session,
        payload=dict(draft.payload),
        private=dict(draft.private) if draft.private is not None else None,
        created_at=draft.at or ledger.now,
        processed_at=(draft.at or ledger.now) if draft.processed else None,
    )
    event.prior = prior
    return event


def _placed(ledger: _Ledger, thread_id: str, draft: Draft) -> tuple[Draft, str]:
    """Which thread an entry is of, and whether the session shows it (spec advanced 8.4).

    The session's own status belongs to its primary thread. Of a child's entries the session shows its status and
    whatever waits for a person or a client; such calls say on the session's stream whose they are.
    """
    if thread_id == ledger.primary_id:
        return draft, thread_id
    if draft.type in ev.SESSION_LEVEL:
        return draft, ledger.primary_id
    if not ev.cross_posted(draft.type, draft.payload):
        return replace(draft, on_session=False), thread_id
    if draft.type in ev.CALLS:
        return replace(draft, payload={**draft.payload, "session_thread_id": thread_id}), thread_id
    return draft, thread_id


def _siblings(cursor: Any, session_id: str, thread_id: str, drafts: Sequence[Draft]) -> list[Sibling]:
    if not any(draft.type in THREAD_STATUS for draft in drafts):
        return []
    cursor.execute(SIBLINGS, [session_id, thread_id, session_id])
    return [
        Sibling(status, tuple(call["id"] for call in _json(pending) or ()), _json(stop_reason))
        for status, pending, stop_reason in cursor.fetchall()
    ]


def _insert(cursor: Any, stored: Sequence[Event], workspace_id: str) -> None:
    values: list[Any] = []
    for event in stored:
        payload, private = event.stored()
        values += [
            event.id,
            event.session_id,
            event.thread_id,
            event.seq,
            event.type,
            event.on_session,
            Jsonb(payload),
            _jsonb(private),
            event.created_at,
            event.processed_at,
            *_words(event, payload, workspace_id),
        ]
    cursor.execute(INSERT + ", ".join([ROW] * len(stored)), values)


def _words(event: Event, form: Any, workspace_id: str) -> tuple[str | None, str]:
    """What a search finds an entry by, and whose it is. Of sealed words the index is told only that there are some."""
    words = said.plain(said.said(event.type, event.payload)) or None
    return ("", f"{SEALED} {workspace_id}") if words and at_rest.is_sealed(form) else (words, workspace_id)


def _mark_processed(cursor: Any, session_id: str, stored: Sequence[Event]) -> None:
    for event in stored:
        if event.type == ev.OPS_PROCESSED:
            cursor.execute(MARK_PROCESSED, [event.created_at, session_id, event.payload["event_ids"]])


def _write_columns(cursor: Any, ledger: _Ledger, session_id: str, thread_id: str, before: tuple[Any, Any, Any]) -> None:
    session, thread = ledger.session, ledger.thread
    if (session, ledger.waiting) == (before[0], before[2]):
        cursor.execute(UPDATE_SEQ, [ledger.last_seq, ledger.now, session_id, ledger.thread_seq, thread_id])
    else:
        values = [ledger.last_seq, ledger.now, *_shared(session), session.snapshot]
        outcomes = Jsonb(OUTCOMES.stored(list(session.outcomes)))
        values += [outcomes, _jsonb(session.budget), session.paused, *ledger.waiting]
        cursor.execute(UPDATE_SESSION, [*values, session_id])
    if thread != before[1] or (session, ledger.waiting) != (before[0], before[2]):
        values = [ledger.thread_seq, ledger.now, *_shared(thread), thread.startup_seconds, thread.wake_at]
        cursor.execute(UPDATE_THREAD, [*values, Jsonb(list(thread.pending)), thread_id])


def _shared(columns: SessionColumns | ThreadColumns) -> list[Any]:
    clock, spent = columns.clock, columns.spent
    return [
        clock.status,
        _jsonb(clock.stop_reason),
        Jsonb(spent.usage.dump()),
        spent.cost,
        spent.cost_known,
        clock.active_seconds,
        clock.running_since,
        clock.ended_at,
    ]
