"""Who runs a thread: a lease on its row with a fencing token, and the proof that a worker lives.

A claim raises ``fence``; every append of the worker is conditional on it (``sessions.log``). One
keeper per worker process renews all its leases and holds an advisory lock on a connection of its
own: when the process dies, PostgreSQL frees that lock at once and the sweeper frees the leases.
"""

from __future__ import annotations

import logging
import os
import secrets
import select
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from sessions import events as ev
from sessions import nudges, prepared
from sessions.harness import admission, unattended
from sessions.harness.bell import Bell
from sessions.harness.limits import longest_pause
from sessions.projections.columns import SessionColumns

if TYPE_CHECKING:
    from sessions.ledgers import Kept

    # Session, fence, owner before, when that one's lease ran out, the database's time, and how long nobody had it.
    _Claimed = tuple[str, int, str, datetime | None, datetime, unattended.Unattended | None]

log = logging.getLogger(__name__)

SWEEPER_SILENT_SECONDS = (
    60.0  # it asks the database five times a second, if nothing holds it; its errands have time-outs
)
LIVENESS_CLASS = 0x4846  # "HF": the class of our advisory locks; the object is the worker's number
GIVEN = frozenset({"connect_timeout", "application_name"})  # by whoever connects
RETURN_SECONDS = 0.1  # how often a database that went away is tried
LOOK_SECONDS = 1.0  # how often the log is looked at for interrupts whose nudge got lost

CLAIM = """
UPDATE agent_sessions_thread t
SET fence = t.fence + 1, lease_owner = %s, lease_expires = clock_timestamp() + %s * interval '1 second'
FROM (SELECT id, lease_owner, lease_expires FROM agent_sessions_thread WHERE id = %s FOR UPDATE) old
WHERE t.id = old.id AND t.status IN ('running', 'rescheduling') AND t.agent ->> 'type' IS DISTINCT FROM 'advisor'
  AND (t.lease_expires IS NULL OR t.lease_expires < clock_timestamp())
RETURNING t.session_id, t.fence, old.lease_owner, old.lease_expires, clock_timestamp(), t.running_since, t.updated_at
"""
# The same in one statement where nothing else is to be asked: no places are limited, somebody had the thread lately.
CLAIM_FREELY = f"""
UPDATE agent_sessions_thread t
SET fence = t.fence + 1, lease_owner = %s, lease_expires = clock_timestamp() + %s * interval '1 second'
FROM (SELECT t.id, t.lease_owner, t.lease_expires FROM agent_sessions_thread t
      JOIN agent_sessions_session s ON s.id = t.session_id JOIN agents_workspace w ON w.id = s.workspace_id
      WHERE t.id = %s AND {admission.FREELY} FOR UPDATE OF t) old
WHERE t.id = old.id AND t.status IN ('running', 'rescheduling') AND t.agent ->> 'type' IS DISTINCT FROM 'advisor'
  AND (t.lease_expires IS NULL OR t.lease_expires < clock_timestamp())
  AND (t.running_since IS NULL
       OR clock_timestamp() - coalesce(t.lease_expires, t.updated_at) <= %s * interval '1 second')
RETURNING t.session_id, t.fence, old.lease_owner, old.lease_expires, clock_timestamp()
"""  # noqa: S608  a text of ours
RENEW = """
WITH mine AS (
  SELECT t.id, held.fence FROM agent_sessions_thread t
  JOIN unnest(%(threads)s::text[], %(fences)s::bigint[]) AS held(id, fence) ON t.id = held.id
  ORDER BY t.id FOR UPDATE OF t)
UPDATE agent_sessions_thread t SET lease_expires = clock_timestamp() + %(ttl)s * interval '1 second'
FROM mine WHERE t.id = mine.id AND t.fence = mine.fence AND t.lease_expires > clock_timestamp() RETURNING t.id
"""
RELEASE = """
UPDATE agent_sessions_thread SET lease_expires = NULL, lease_owner = CASE WHEN %s::boolean THEN '' ELSE lease_owner END
WHERE id = %s AND fence = %s RETURNING status IN ('running', 'rescheduling') AND (
  wake_at IS NULL OR wake_at NOT BETWEEN now() AND now() + %s * interval '1 second'),
  (SELECT w.limits FROM agent_sessions_session s JOIN agents_workspace w ON w.id = s.workspace_id
   WHERE s.id = session_id)
"""
# A thread whose row somebody has locked is left to the next look: who waits for nothing takes part in no deadlock.
ORPHANS = """
WITH lost AS (
  SELECT t.id FROM agent_sessions_thread t
  WHERE t.status IN ('running', 'rescheduling') AND t.lease_expires > clock_timestamp() AND t.lease_owner <> ''
    AND NOT EXISTS (
    SELECT 1 FROM pg_locks l WHERE l.locktype = 'advisory' AND l.classid = %s AND l.objsubid = 2 AND l.granted
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND l.objid::text = split_part(t.lease_owner, ':', 3))
  ORDER BY t.id FOR UPDATE OF t SKIP LOCKED)
UPDATE agent_sessions_thread t SET lease_expires = clock_timestamp() FROM lost WHERE t.id = lost.id
RETURNING t.id, t.session_id, t.lease_owner
"""
ALIVE = """
SELECT l.objid::bigint FROM pg_locks l
WHERE l.locktype = 'advisory' AND l.classid = %s AND l.objid::bigint > 0 AND l.objsubid = 2 AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
SEEN = """
SELECT count(*) FILTER (WHERE l.objid::bigint > 0), coalesce(bool_or(l.objid::bigint = 0
  AND NOT (a.state LIKE 'idle%%' AND a.state_change < clock_timestamp() - %s * interval '1 second')), false)
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.classid = %s AND l.objsubid = 2 AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
INTERRUPTS = """
SELECT thread_id FROM agent_sessions_event
WHERE session_id = ANY(%(sessions)s) AND processed_at IS NULL AND type = %(type)s
"""


@dataclass(slots=True)
class Lease:
    """The right to append to a thread. ``previous`` names the owner it was taken from, if any, and ``gap`` how many
    seconds ago that one was found dead, or its lease ran out; None if it handed the thread over.

    ``claimed_at``: the database's time at the claim, and our own monotonic one. ``absence``: how long nobody
    had the thread before.

    ``changed`` is set when the lease was lost or an interrupt came: whoever waits should look.
    ``suspected``: an interrupt was seen on the log a moment ago, which may have been dealt with since.
    """

    thread_id: str
    session_id: str
    fence: int
    previous: str
    gap: float | None = None
    claimed_at: tuple[datetime, float] = field(default_factory=lambda: (datetime.now(UTC), time.monotonic()))
    absence: unattended.Unattended | None = None
    limited: bool = True  # where only so many may run at once, as the release found it
    lost: bool = False
    interrupted: bool = False
    suspected: bool = False
    changed: Bell = field(default_factory=Bell)
    seen: SessionColumns = field(default_factory=SessionColumns)  # of the session, after our last append
    kept: Kept | None = None  # both rows, after our last append

    def now(self) -> datetime:
        """The database's time. This machine's own clock may be wrong, or jump; only its monotonic one is used."""
        moment, ticks = self.claimed_at
        return moment + timedelta(seconds=time.monotonic() - ticks)

    def should_stop(self) -> bool:
        """True if the work under way must be dropped."""
        return self.lost or self.interrupted


class Orphan(NamedTuple):
    """A thread whose worker is gone."""

    thread_id: str
    session_id: str
    worker: str


class Keeper:
    """Claims, renews and releases the leases of this process."""

    def __init__(self, ttl: float) -> None:
        self.ttl = ttl
        self.number = secrets.randbelow(2**31 - 1) + 1
        self.owner = f"{socket.gethostname().replace(':', '-')[:40]}:{os.getpid()}:{self.number}"
        self.draining = False
        self._leases: dict[str, Lease] = {}
        self._lock = threading.Lock()
        self._liveness: psycopg.Connection[Any] | None = None

    def start(self) -> None:
        """Take the liveness lock and start the heartbeat; returns once the lock is held."""
        admission.seen(self._hold_liveness())
        threading.Thread(target=self._beat_for_ever, name="lease-heartbeat", daemon=True).start()
        nudges.listen_interrupts(self.interrupt)

    def claim(self, thread_id: str) -> Lease | None:
        """Take the lease of a thread that has work; None if it has none or another worker has it."""
        found = self._claimed_freely(thread_id) or self._claimed(thread_id)
        if found is None:
            return None
        session_id, fence, previous, expired, now, absence = found
        gap = None if expired is None else round((now - expired).total_seconds(), 2)
        lease = Lease(thread_id, session_id, fence, previous, gap, (now, time.monotonic()), absence)
        with self._lock:
            self._leases[thread_id] = lease
        if self.draining:
            lease.changed.set()  # ``drain`` may have looked before it was there
        return lease

    def _claimed_freely(self, thread_id: str) -> _Claimed | None:
        if not admission.unlimited():
            return None
        of_machine = admission.grace(), settings.HOLDFAST_MACHINE
        row = prepared.row(CLAIM_FREELY, [self.owner, self.ttl, thread_id, *of_machine, self.ttl])
        return None if row is None else (*row, None)

    def _claimed(self, thread_id: str) -> _Claimed | None:
        with transaction.atomic(), prepared.cursor() as cursor:
            if not admission.admitted(cursor, thread_id):
                return None
            cursor.execute(CLAIM, prepared.plain([self.owner, self.ttl, thread_id]))
            row = cursor.fetchone()
            if row is None:
                return None
            session_id, fence, previous, expired, now, running_since, changed = row
            absence = None
            if running_since is not None and (now - (expired or changed)).total_seconds() > self.ttl:
                absence = unattended.found(cursor, session_id, thread_id, expired, now, self.ttl)
            return session_id, fence, previous, expired, now, absence

    def release(self, lease: Lease, *, clean: bool) -> bool:
        """Give a lease back. True if the thread has got work meanwhile and should be claimed again.

        Not ``clean`` leaves the owner's name, so that the next owner knows a call may be under way.
        """
        with self._lock:
            if self._leases.get(lease.thread_id) is lease:
                del self._leases[lease.thread_id]
        lease.changed.close()
        pause = longest_pause(settings.HOLDFAST_RETRY_CEILING_SECONDS)
        row = prepared.row(RELEASE, [clean, lease.thread_id, lease.fence, pause])
        lease.limited = row is None or admission.limits_of(row[1]) != (None, None)
        return bool(row and row[0])

    def drain(self) -> None:
        """This process is to end: its turns hand over at their next step, and no new one starts here."""
        self.draining = True
        with self._lock:
            leases = list(self._leases.values())
        for lease in leases:
            lease.changed.set()

    def interrupt(self, session_id: str, thread_id: str | None) -> None:
        """An interrupt is on the log of these threads: stop what is under way and look."""
        with self._lock:
            leases = list(self._leases.values())
        for lease in leases:
            if lease.session_id == session_id and thread_id in (None, lease.thread_id):
                lease.interrupted = True
                lease.changed.set()

    def _beat_for_ever(self) -> None:
        beat_at = time.monotonic() + self.ttl / 3
        while True:
            try:
                ended = self._ends_within(max(0.0, min(beat_at - time.monotonic(), LOOK_SECONDS)))
                if time.monotonic() >= beat_at:
                    beat_at = time.monotonic() + self.ttl / 3
                    self._beat()
                elif not ended:
                    self._look_for_interrupts()
                elif self._returned():
                    beat_at = time.monotonic()
            except (DatabaseError, psycopg.Error) as error:
                log.warning("The leases could not be renewed: %s", type(error).__name__)
            except Exception:
                log.exception("The heartbeat failed.")

    def _beat(self) -> None:
        with self._lock:
            leases = list(self._leases.values())
        liveness = self._hold_liveness()
        admission.seen(liveness)
        threads = [lease.thread_id for lease in leases]
        fences = [lease.fence for lease in leases]
        renewed = {
            row[0]
            for row in liveness.execute(RENEW, {"ttl": self.ttl, "threads": threads, "fences": fences}).fetchall()
        }
        for lease in leases:
            if lease.thread_id not in renewed:
                lease.lost = True
                lease.changed.set()

    def _look_for_interrupts(self) -> None:
        """One question for all turns of this process, instead of one for each that waits for its model or a tool."""
        with self._lock:
            leases = list(self._leases.values())
        if not leases:
            return
        sessions = list({lease.session_id for lease in leases})
        asked = self._hold_liveness().execute(INTERRUPTS, {"sessions": sessions, "type": ev.USER_INTERRUPT})
        found = {row[0] for row in asked.fetchall()}
        for lease in leases:
            if lease.thread_id in found:
                lease.suspected = True
                lease.changed.ring()

    def _ends_within(self, seconds: float) -> bool:
        """Sleep so long, or until the server ends the keeper's connection: every moment without the lock is one in
        which the sweeper may take this process for dead.
        """
        link = self._liveness
        if link is None or link.closed:
            time.sleep(min(seconds, RETURN_SECONDS))
            return True
        look = select.poll()
        look.register(link.fileno(), select.POLLIN)
        if look.poll(seconds * 1000):
            with suppress(psycopg.Error):
                link.execute("SELECT 1")  # what came may be harmless
        return link.closed

    def _returned(self) -> bool:
        """Whether the database answers again, which it may be asked ten times a second."""
        with suppress(psycopg.Error):
            self._hold_liveness()
            return True
        return False

    def _hold_liveness(self) -> psycopg.Connection[Any]:
        """The keeper's own connection, with the advisory lock on it; opened again if it broke."""
        if self._liveness is not None and not self._liveness.closed:
            return self._liveness
        link = psycopg.connect(**dsn(), autocommit=True, connect_timeout=5, application_name=self.owner)
        try:
            link.execute("SET statement_timeout = '5s'")
            link.execute("SELECT pg_advisory_lock(%s, %s)", [LIVENESS_CLASS, self.number])
        except BaseException:
            link.close()  # the server may hold the lock for the broken one yet; the next beat tries again
            raise
        self._liveness = link
        return link


_keeper: Keeper | None = None
_keeper_lock = threading.Lock()


def keeper() -> Keeper:
    """This process's keeper, started on first use."""
    global _keeper
    with _keeper_lock:
        if _keeper is None:
            fresh = Keeper(float(settings.HOLDFAST_LEASE_SECONDS))
            fresh.start()
            _keeper = fresh
        return _keeper


def free_orphans() -> list[Orphan]:
    """Free the leases of workers that are gone; returns what they had."""
    with prepared.cursor() as cursor:  # five times a second: it takes longer to plan than to look
        cursor.execute(ORPHANS, prepared.plain([LIVENESS_CLASS]))
        return [Orphan(*row) for row in cursor.fetchall()]


def workers_alive() -> frozenset[int]:
    """The numbers of the worker processes that are alive now."""
    with prepared.cursor() as cursor:
        cursor.execute(ALIVE, prepared.plain([LIVENESS_CLASS]))
        return frozenset(row[0] for row in cursor.fetchall())


def processes_seen() -> tuple[int, bool]:
    """How many worker processes are alive, and whether a sweeper is that was heard of lately."""
    with connection.cursor() as cursor:
        cursor.execute(SEEN, [SWEEPER_SILENT_SECONDS, LIVENESS_CLASS])
        workers, sweeper = cursor.fetchone()
        return workers, sweeper


def dsn() -> dict[str, Any]:
    """Django's connection parameters, without its pool: whatever libpq knows, certificates among it."""
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()} - GIVEN
    return {key: value for key, value in connection.get_connection_params().items() if key in known and value}
