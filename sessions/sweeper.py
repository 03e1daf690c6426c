"""Find what got lost: leases of dead workers, wake-ups nobody took, waits that are over; start what is due.

One process an installation is enough; a second one stands by on an advisory lock, and takes it from one that hangs.
"""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection

from credentials import answers
from sessions import bounds, caps, files
from sessions import events as ev
from sessions.approvals import deadlines, notices
from sessions.dreams import engine as dreams
from sessions.events import Draft
from sessions.exchange import transfers
from sessions.harness import admission
from sessions.harness.lease import LIVENESS_CLASS, SWEEPER_SILENT_SECONDS, Orphan, free_orphans, workers_alive
from sessions.harness.limits import longest_pause
from sessions.log import UnknownThread, append
from sessions.repair import repair_unknown
from sessions.schedules import runs
from sessions.wake import drive_dream, drive_transfer, drive_workflow, sweep_everywhere, wake
from sessions.webhooks import delivery
from sessions.webhooks.wake import wake as wake_webhooks
from sessions.work import queue as work
from sessions.workflows import runs as workflow_runs

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

RETURN_SECONDS = 2.0  # after the database was away, until who has not come back to it counts as dead
SWEEP_SECONDS = 0.2  # two cheap queries: what is lost is to be found at once
BACKLOG_SECONDS = 1.0  # where more wait than one look finds, finding them takes a while and more looks help nobody
ERRANDS_SECONDS = 1.0
TIDY_SECONDS = 600.0
STUCK_SECONDS = 600.0  # no look takes so long, whatever there is to tidy up
FIRST_PATIENCE_SECONDS = 2.0
LAST_PATIENCE_SECONDS = 30.0
SWEEPER_NUMBER = 0  # the advisory lock's object; workers' numbers start at 1
BATCH = 500

SILENT = """
SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.classid = %s AND l.objid = %s AND l.objsubid = 2 AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND a.state LIKE 'idle%%' AND a.state_change < clock_timestamp() - %s * interval '1 second'
"""
DUE = """
SELECT id FROM agent_sessions_thread
WHERE (lease_expires IS NULL OR lease_expires < clock_timestamp()) AND agent ->> 'type' IS DISTINCT FROM 'advisor'
  AND (status = 'running' AND updated_at NOT BETWEEN clock_timestamp() - interval '1 second' AND clock_timestamp()
       OR status = 'rescheduling' AND (
         wake_at IS NULL OR wake_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + %s * interval '1 second'))
ORDER BY updated_at LIMIT %s
"""


@dataclass(slots=True)
class Patience:
    """When each thread, or endpoint, may be woken again, so that a busy installation isn't flooded."""

    clock: Callable[[], float] = time.monotonic
    _next: dict[str, tuple[float, float]] = field(default_factory=dict)

    def forget(self) -> None:
        """Every thread may be woken at once."""
        self._next.clear()

    def pick(self, due: list[str]) -> list[str]:
        """Those of ``due`` that haven't been woken lately; forgets threads that aren't due."""
        now = self.clock()
        kept = {thread: self._next[thread] for thread in due if thread in self._next}
        picked = []
        for thread in due:
            at, pause = kept.get(thread, (now, FIRST_PATIENCE_SECONDS))
            if at <= now:
                picked.append(thread)
                kept[thread] = (now + pause, min(pause * 2, LAST_PATIENCE_SECONDS))
        self._next = kept
        return picked


class Sweeper:
    """Sweeps until ``stop`` answers true."""

    def __init__(self, stop: Callable[[], bool]) -> None:
        self._stop = stop
        self._patience = Patience()
        self._workers: frozenset[int] = frozenset()
        self._machines: frozenset[str] = frozenset()
        self._endpoints = Patience()
        self._dreams = Patience()
        self._day = bounds.day()
        self._errands_at = 0.0
        self._tidy_at = 0.0
        self._due_at = 0.0
        self._looked = time.monotonic()
        self._returns_until = 0.0

    def goes_on(self) -> bool:
        """Whether it has begun a look lately; a database that is slow or away doesn't make it dead."""
        return time.monotonic() - self._looked < STUCK_SECONDS

    def run(self) -> None:
        """Take the sweeper's lock, then sweep; a lost database is waited for."""
        leading = False
        while not self._stop():
            self._looked = time.monotonic()
            try:
                if leading and not connection.is_usable():
                    leading = False
                    self._returns_until = time.monotonic() + RETURN_SECONDS
                if not leading:
                    connection.close()
                    leading = _lead()
                    if leading:
                        _each(caps.follow_installation)
                if leading:
                    self.sweep()
                    self._errands()
                    self._tidy()
            except Exception:
                log.exception("A sweep failed; the next one tries again.")
                if not connection.is_usable():
                    self._returns_until = time.monotonic() + RETURN_SECONDS
                connection.close()
                leading = False
            time.sleep(SWEEP_SECONDS)

    def sweep(self) -> list[str]:
        """One look: free the leases of dead workers and wake every thread that nobody runs."""
        returns = time.monotonic() < self._returns_until
        freed = [] if returns else [self._tell_of_loss(orphan) for orphan in free_orphans()]
        if (alive := workers_alive()) != self._workers:
            self._workers, self._due_at = alive, 0.0
            self._patience.forget()  # what a worker that died had taken from the queue is lost; a new one has room
        if time.monotonic() < self._due_at:
            return freed
        with connection.cursor() as cursor:
            cursor.execute(DUE, [longest_pause(settings.HOLDFAST_RETRY_CEILING_SECONDS), BATCH])
            due = [row[0] for row in cursor.fetchall()]
        if len(due) == BATCH:
            self._due_at = time.monotonic() + BACKLOG_SECONDS
        picked = self._patience.pick([thread for thread in due if thread not in freed])
        for thread in picked:
            wake(thread)
        return freed + picked

    def _tell_of_loss(self, orphan: Orphan) -> str:
        log.warning("Thread %s lost its worker; waking another.", orphan.thread_id)
        with contextlib.suppress(UnknownThread):
            append(orphan.session_id, orphan.thread_id, [Draft(ev.OPS_WORKER_LOST, {"worker": orphan.worker})])
        wake(orphan.thread_id)
        return orphan.thread_id

    def _errands(self) -> None:
        """What is due by the clock: schedules, deliveries that wait for their next attempt, dreams that have ended."""
        if time.monotonic() < self._errands_at:
            return
        self._errands_at = time.monotonic() + ERRANDS_SECONDS
        if (day := bounds.day()) != self._day:
            self._day = day
            _each(caps.resume_all)  # yesterday's caps are over
        if (machines := admission.machines_alive()) != self._machines:
            self._machines = machines
            self._patience.forget()  # the sessions of a machine that is gone may be taken elsewhere from now on
        due = (runs.fire_due, work.reclaim, deadlines.expire_due, notices.send_due, dreams.settle)
        _each(self._drive_workflows, *due, self._drive_dreams, self._wake_endpoints)

    def _drive_workflows(self) -> None:
        for run_id in workflow_runs.due():
            drive_workflow(run_id)

    def _drive_dreams(self) -> None:
        for dream_id in self._dreams.pick(dreams.waiting()):
            drive_dream(dream_id)

    def _wake_endpoints(self) -> None:
        for endpoint in self._endpoints.pick(delivery.due()):
            wake_webhooks(endpoint)

    def _tidy(self) -> None:
        """Now and then: what expired, blobs nobody names, and sandboxes whose sessions are gone or ended."""
        if time.monotonic() < self._tidy_at:
            return
        self._tidy_at = time.monotonic() + TIDY_SECONDS
        # Caps are looked at for sessions whose message to go on got lost.
        _each(files.collect_garbage, caps.resume_all, answers.sweep, delivery.forget, _drive_transfers)
        _each(work.mend, work.forget, sweep_everywhere, repair_unknown)


def _drive_transfers() -> None:
    for transfer_id in transfers.sweep():
        drive_transfer(transfer_id)


def _each(*errands: Callable[[], object]) -> None:
    """Do all of them: one that fails, on a row that nobody can read say, keeps none of the others from being done.

    Raises what it meets without the database, whose connection holds the sweeper's lock.
    """
    for errand in errands:
        try:
            errand()
        except Exception:
            if not connection.is_usable():
                raise
            log.exception("An errand of the sweeper failed; it is tried again.")


def _lead(silent_seconds: float = SWEEPER_SILENT_SECONDS) -> bool:
    """Take the lock; one that hangs with it (a frozen process or machine) loses its connection, and so the lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LIVENESS_CLASS, SWEEPER_NUMBER])
        if cursor.fetchone()[0]:
            return True
        cursor.execute(SILENT, [LIVENESS_CLASS, SWEEPER_NUMBER, silent_seconds])
        if cursor.fetchall():
            log.warning("The sweeper before was silent for more than %d s; its lock is taken from it.", silent_seconds)
        return False
