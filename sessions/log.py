"""The only door to the log: ``append`` writes events, ``read`` reads them.

An append is one transaction: it locks the session and thread rows, checks the caller's fence,
allots gapless ``seq`` numbers, inserts the events and brings the projected columns up to date.
Most appends of a turn are one statement that does all of it, if nobody touched the session since
the turn's last one.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from django.db import DataError, IntegrityError, connection, transaction

from contract import ids, tracing
from sessions import batches, ledgers, nudges, prepared, serial, slices
from sessions import events as ev
from sessions.approvals import book, notices
from sessions.ledgers import parsed
from sessions.models import Event, Session
from sessions.projected import session_columns
from sessions.projections.columns import THREAD_STATUS, SessionColumns, Sibling, with_session_status
from sessions.webhooks import kinds, outbox
from sessions.work import queue as work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sessions.events import Draft
    from sessions.ledgers import Kept, Ledger

    Then = Callable[[list[Event], SessionColumns], Sequence[Draft]]


class Lease(Protocol):
    """What an append needs of a lease: the thread's fence it was claimed with.

    ``seen``: what the session's columns were after the lease's last append; ``kept``: all of both rows.
    """

    seen: SessionColumns
    kept: Kept | None

    @property
    def fence(self) -> int: ...


class LeaseLost(Exception):
    """The fence has moved on: another worker owns the thread. Stop at once, write nothing."""


class Stale(Exception):
    """The log grew after ``expect_seq``: read again and decide again. Nothing was written."""


class Touched(Exception):
    """Somebody else touched the session since the lease's last append, or that can't be told. Nothing was written."""


class UnknownThread(Exception):
    """The session or thread does not exist (any more)."""


# One text holds all the entries: the statement is the same for any number of them, so it is prepared once. Words are
# told apart by their workspace right in the index, so that a search never looks at another's.
INSERT = """
INSERT INTO agent_sessions_event
  (id, session_id, thread_id, seq, type, on_session, payload, private, created_at, processed_at, words)
SELECT id, session_id, thread_id, seq, type, on_session, payload, private, created_at, processed_at,
  to_tsvector('simple', words) || array_to_tsvector(ARRAY[owner])
FROM json_to_recordset(%s::json) AS entry (id text, session_id text, thread_id text, seq bigint, type text,
  on_session boolean, payload jsonb, private jsonb, created_at timestamptz, processed_at timestamptz, words text,
  owner text)
WHERE {still} RETURNING xmin::text, clock_timestamp()
"""
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

PAGE = 1000  # entries that are read at once
OF_THREAD = prepared.Question(
    lambda: (
        Event.objects.filter(session_id=prepared.TEXT)
        .filter(seq__gt=prepared.NUMBER)
        .filter(thread_id=prepared.TEXT)
        .order_by("seq")[:PAGE]
    )
)

# Kinds of entries that an append brings other rows up to date with, besides calls that ask and what webhooks tell.
FAR_REACHING = frozenset({ev.OPS_PROCESSED, ev.STATUS_RUNNING, ev.STATUS_IDLE, *THREAD_STATUS})


def append(
    session_id: str,
    thread_id: str,
    drafts: Sequence[Draft],
    *,
    lease: Lease | None = None,
    expect_seq: int | None = None,
    then: Then | None = None,
    untouched: bool = False,
) -> list[Event]:
    """Append ``drafts`` to a thread's log, all or none, and tell the readers after the commit.

    With a ``lease`` the append happens only while its fence is the thread's and unexpired.
    With ``expect_seq`` it happens only if nothing was appended to the thread after that number.
    With ``untouched`` it happens only if nobody else touched the session's row since the lease's last append.
    ``then`` is shown what will be stored and what the session's columns will be, and adds what follows at once.
    Thread status events bring the session's own (spec core 8.4) with them. An
    ``ops.event_processed`` draft sets ``processed_at`` of the events it names.

    Raises ``LeaseLost``, ``Stale``, ``Touched`` or ``UnknownThread``, and ``IntegrityError`` where a row that was
    changed by hand doesn't agree with the log (see ``sessions.repair``); then nothing was written.
    """
    # Within a transaction of the caller's, rows look untouched by what came before in it.
    if lease is not None and lease.kept is not None and expect_seq is None and not connection.in_atomic_block:
        stored = _append_at_once(session_id, thread_id, drafts, lease, lease.kept, then)
        if stored is not None:
            return stored
    if untouched:
        raise Touched(session_id)
    with serial.alone(session_id), transaction.atomic(), prepared.cursor() as cursor:
        ledger = ledgers.locked(cursor, session_id, thread_id)
        if ledger is None:
            raise UnknownThread(thread_id)
        if lease is not None and (ledger.fence != lease.fence or not ledger.leased):
            raise LeaseLost(thread_id)
        if expect_seq is not None and ledger.thread_seq > expect_seq:
            raise Stale(thread_id)
        if not ledgers.agrees(cursor, session_id, ledger.last_seq):
            raise IntegrityError(f"The log of {session_id} ends before {ledger.last_seq}, which its row says.")
        if lease is not None and lease.kept is not None:
            ledger.now = lease.kept.time(ledger.now)
        before = ledgers.Before(ledger.session, ledger.thread, ledger.waiting)
        stored = _folded(ledger, session_id, thread_id, drafts, then)
        updates = ledgers.updates(ledger, session_id, thread_id, before)
        ledgers.together(cursor, _writes(ledger, updates, session_id, stored))
        kept = _kept(cursor.fetchone(), ledger, "")
        _mark_processed(cursor, session_id, stored)
        outbox.note_log(session_id, stored)
        work.follow(session_id, stored)
        asked = book.keep(stored, [call["id"] for call in before.thread.pending])
        if asked:
            notices.announce(asked)
        last_seq = ledger.last_seq
        transaction.on_commit(lambda: nudges.publish_events(session_id, last_seq))
    if lease is not None:
        lease.seen, lease.kept = ledger.session, kept or lease.kept
    return stored


def _append_at_once(
    session_id: str, thread_id: str, drafts: Sequence[Draft], lease: Lease, kept: Kept, then: Then | None
) -> list[Event] | None:
    """The same in one statement, which happens only while both rows are what the lease left them to be.

    None if they are not, or if the entries concern more than the log; then nothing was written.
    """
    ledger = kept.again()
    before = ledgers.Before(ledger.session, ledger.thread, ledger.waiting)
    if before.thread.pending or any(draft.type in THREAD_STATUS for draft in drafts):
        return None
    stored = _folded(ledger, session_id, thread_id, drafts, then)
    if not stored or any(_concerns_others(event) for event in stored):
        return None
    updates = kept.guarded(ledgers.updates(ledger, session_id, thread_id, before), lease.fence)
    sql, values = ledgers.joined(_writes(ledger, updates, session_id, stored), guarded=True)
    try:
        if thread_id == ledger.primary_id:
            row = batches.row(session_id, thread_id, sql, values)
        else:  # of a team the next one writes the same session's row
            row = prepared.row(sql, values)
    except DataError:  # the lease is lost, or an entry can't be stored: the other way tells
        return None
    if (found := _kept(row, ledger, kept.series)) is None:
        return None
    lease.seen, lease.kept = ledger.session, found
    nudges.publish_events(session_id, ledger.last_seq)  # it is on disk: to ask for that would take a connection
    return stored


def _concerns_others(event: Event) -> bool:
    """Whether an entry changes more than the log and the columns of its session and thread."""
    return event.type in FAR_REACHING or book.is_asked(event) or bool(kinds.of_event(event))


def _folded(ledger: Ledger, session_id: str, thread_id: str, drafts: Sequence[Draft], then: Then | None) -> list[Event]:
    """The entries, and what ``then`` adds to them; the ledger is brought up to date."""
    stored = _fold(ledger, session_id, thread_id, drafts)
    if then is not None:
        stored += _fold(ledger, session_id, thread_id, then(stored, ledger.session))
    return stored


def _writes(
    ledger: Ledger, updates: Sequence[ledgers.Statement], session_id: str, stored: Sequence[Event]
) -> list[ledgers.Statement]:
    return [*updates, *slices.additions(session_id, stored), _insertion(stored, ledger.workspace_id)]


def _kept(row: Any, ledger: Ledger, series: str) -> Kept | None:
    """What a later append can take for granted, by what the insertion returned; None if nothing was inserted."""
    return None if row is None else ledgers.Kept(ledger, row[0], series or row[0], row[1], time.monotonic())


def restore(entries: Sequence[Event], workspace_id: str) -> None:
    """Put entries of another installation's log back as they were: with their sessions, which are new here."""
    with prepared.cursor() as cursor:
        ledgers.together(cursor, [_insertion(entries, workspace_id)])


def rewrite(entry: Event) -> None:
    """Store an entry with its session anew, word for word, sealed as the settings ask now (``manage.py reseal``)."""
    payload, private = entry.stored()
    words = ledgers.words(entry, payload, entry.session.workspace_id)
    values = [ledgers.text(payload), ledgers.text(private), *words, entry.id]
    with connection.cursor() as cursor:
        cursor.execute(REWRITE, values)


def read(session_id: str, *, after: int = 0, limit: int = PAGE, thread_id: str | None = None) -> list[Event]:
    """Events with ``seq`` greater than ``after``, in order; of one thread if it is named."""
    if thread_id is not None and limit == PAGE:  # as every turn does
        return OF_THREAD.rows(session_id, after, thread_id)
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


def _fold(ledger: Ledger, session_id: str, thread_id: str, drafts: Sequence[Draft]) -> list[Event]:
    others = _siblings(session_id, thread_id, drafts)
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


def _take(ledger: Ledger, session_id: str, thread_id: str, draft: Draft) -> Event:
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
    return Event.appended(
        prior,
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


def _placed(ledger: Ledger, thread_id: str, draft: Draft) -> tuple[Draft, str]:
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


def _siblings(session_id: str, thread_id: str, drafts: Sequence[Draft]) -> list[Sibling]:
    if not any(draft.type in THREAD_STATUS for draft in drafts):
        return []
    with prepared.cursor() as cursor:
        cursor.execute(SIBLINGS, [session_id, thread_id, session_id])
        return [
            Sibling(status, tuple(call["id"] for call in parsed(pending) or ()), parsed(stop_reason))
            for status, pending, stop_reason in cursor.fetchall()
        ]


def _insertion(entries: Sequence[Event], workspace_id: str) -> ledgers.Statement:
    """The statement that stores entries of sessions of one workspace."""
    return INSERT, [json.dumps([ledgers.row(entry, workspace_id) for entry in entries])]


def _mark_processed(cursor: Any, session_id: str, stored: Sequence[Event]) -> None:
    for event in stored:
        if event.type == ev.OPS_PROCESSED:
            cursor.execute(MARK_PROCESSED, [event.created_at, session_id, event.payload["event_ids"]])
