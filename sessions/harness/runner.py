"""The loop: lease, read, fold, decide, perform, append, until the thread rests."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from django.db import IntegrityError, InterfaceError, OperationalError, connection
from django.db.models.expressions import RawSQL

from contract.errors import NoRoom
from credentials.crypto import CannotOpen
from sessions import events as ev
from sessions import ledgers, log, prepared, threads
from sessions.events import Draft
from sessions.harness import faults, reports, servers, spans, unattended
from sessions.harness import spec as specs
from sessions.harness.attachments import resolver
from sessions.harness.decide import CallModel, Wait, decide
from sessions.harness.effects import Effects
from sessions.harness.hands.base import CannotCarryOut
from sessions.harness.lease import Lease, keeper
from sessions.harness.limits import Limits
from sessions.harness.prompt import Prompt
from sessions.harness.state import ThreadState
from sessions.models import Event, Thread, WorkflowRun
from sessions.projected import session_columns
from sessions.projections.faults import session_error
from sessions.repair import repair
from sessions.wake import make_room, pass_on, wake

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sessions.harness.spec import TurnSpec
    from sessions.projections.columns import SessionColumns

logger = logging.getLogger(__name__)

LIMITS_KEPT_SECONDS = 5.0
WAIT_HERE_SECONDS = 5.0  # a longer wait is left to the sweeper, so that no worker slot sleeps
RESTING = ("idle", "terminated")
AGREES = """"agent_sessions_session".last_seq = 0 OR EXISTS (SELECT FROM agent_sessions_event last
  WHERE last.session_id = "agent_sessions_session".id AND last.seq = "agent_sessions_session".last_seq)"""
AS_READ = {"version": RawSQL('"agent_sessions_session".xmin::text', []), "agrees": RawSQL(AGREES, [])}  # noqa: S611
READABLE = prepared.Question(
    lambda: (
        Thread.objects.select_related("session__environment").annotate(**AS_READ).filter(pk=prepared.TEXT).order_by()
    )
)
AT_WORK = "SELECT 1 FROM agent_sessions_thread WHERE id = %s AND status IN ('running', 'rescheduling')"


class Damaged(Exception):
    """Rows hold what nobody can read and the log doesn't have."""


def run(thread_id: str) -> None:
    """Run a thread until it rests. Does nothing if another worker has the thread or there is nothing to do."""
    again = True
    while again and not keeper().draining:
        lease = keeper().claim(thread_id)
        if lease is None:
            pass_on(thread_id)
            break
        runner = Runner(lease)
        clean = False
        try:
            clean = runner.drive()
        finally:
            again = keeper().release(lease, clean=clean) and clean
            if lease.limited:
                make_room(lease.session_id)
    if again and keeper().draining:
        wake(thread_id)  # for another worker


class Runner:
    """One lease's worth of work."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.state = ThreadState(lease.thread_id)
        self.effects: Effects | None = None
        self._limits = Limits()
        self._limits_read_at = -LIMITS_KEPT_SECONDS

    def drive(self) -> bool:
        """Work until the thread rests; False if it was left in the middle of something."""
        try:
            effects = self._load()
            if effects is not None:
                with spans.turn(effects.spec, self.state):
                    self._work(effects)
        except log.LeaseLost:
            logger.warning("Thread %s was taken over by another worker.", self.lease.thread_id)
            return False
        except log.UnknownThread:
            return True
        except IntegrityError:
            return self._repaired()
        except NoRoom:
            logger.warning("The turn of thread %s waits for room on the disk.", self.lease.thread_id)
            return False
        except (OperationalError, InterfaceError):
            raise  # the database is away, which says nothing about this session
        except Exception as error:
            if not Thread.objects.filter(pk=self.lease.thread_id).exists():
                return True  # deleted meanwhile, with its session
            logger.exception("A turn of thread %s failed.", self.lease.thread_id)
            with contextlib.suppress(log.LeaseLost, log.UnknownThread):
                return self._failed(error)
            return False
        return self._agrees()

    def _failed(self, error: Exception) -> bool:
        """A fault of our own. The turn is taken up again, until it has failed the same way three times: then it rests
        with the reason, until a person asks for another try.
        """
        repair(self.lease.session_id)  # values edited by hand may be what failed, and would refuse the notes below
        fault = faults.where(error)
        times = faults.times(self.lease.thread_id, fault) + 1
        note = Draft(ev.OPS_FAILED, {"fault": fault, "times": times})
        log.append(self.lease.session_id, self.lease.thread_id, [note], lease=self.lease)
        if times < faults.MOST:
            return False  # not a clean end: the next worker takes a call that was under way for a second attempt
        told = f"The server met the same internal error {times} times ({fault}). Its log has the details."
        if self.effects is None:
            self._park(told)
        else:
            self._catch_up()
            self.effects.give_up(told)
        return True

    def _repaired(self) -> bool:
        """An append that the log refused: the rows were changed by hand. They are made to agree with the log again."""
        logger.error("The rows of session %s don't agree with its log.", self.lease.session_id)
        repair(self.lease.session_id)
        return False

    def _agrees(self) -> bool:
        """False, after a repair, if the thread's row says that there is work and its log that there is none.

        A row that our last append left at rest has got work since; the next claim looks.
        """
        if self.state.status not in RESTING or self.lease.lost:
            return True
        if self.lease.kept is not None and self.lease.kept.ledger.thread.clock.status in RESTING:
            return True
        thread_id = self.lease.thread_id
        if prepared.row(AT_WORK, [thread_id]) is None:
            return True
        if Event.objects.filter(thread_id=thread_id, seq__gt=self.state.seq).exists():
            return True
        return self._repaired()

    def _load(self) -> Effects | None:
        """What the turn needs; None if the session can't be run and was parked with the reason."""
        try:
            return self._prepare()
        except (CannotOpen, Damaged) as error:
            logger.exception("Thread %s can't be run.", self.lease.thread_id)
            self._park(f"This session can't be run at the moment. {error}")
            return None

    def _park(self, reason: str) -> None:
        """Rest with the reason instead of failing for ever; the next message, or a person, tries again."""
        told = session_error("unknown_error", reason, "exhausted")
        thread = Thread.objects.get(pk=self.lease.thread_id)
        idle = threads.about(thread, stop_reason=ev.RETRIES_EXHAUSTED, stop_details=None)
        note = Draft(ev.OPS_PARKED, {"reason": told["message"]})
        drafts = [note, Draft(ev.SESSION_ERROR, {"error": told}), Draft(ev.THREAD_IDLE, idle)]
        if thread.parent_id is None:
            log.append(self.lease.session_id, thread.id, drafts, lease=self.lease)
            return
        drafts.append(Draft(ev.THREAD_TERMINATED, threads.about(thread)))
        threads.rest(self.lease, drafts, reports.report(ev.RETRIES_EXHAUSTED, told, ""))

    def _tell_of_before(self) -> None:
        """What became of the thread before this lease: nobody had it for a while, another worker lost it."""
        notes = [self.lease.absence.note()] if self.lease.absence else []
        if self.lease.previous:
            silent = unattended.silence(self.lease, keeper().ttl)
            taken = {"from": self.lease.previous, "by": keeper().owner, "seconds": self.lease.gap}
            notes.append(Draft(ev.OPS_TAKEN_OVER, {**taken, "silent_seconds": silent}))
        if notes:
            log.append(self.lease.session_id, self.lease.thread_id, notes, lease=self.lease)

    def _readable(self) -> Thread:
        """The thread with its session. What nobody can read of their rows, or a log's end that isn't there, is taken
        from the log; raises ``Damaged`` for what isn't on it.
        """
        thread = self._read()
        if thread.unreadable or thread.session.unreadable or not thread.agrees:  # type: ignore[attr-defined]
            repair(self.lease.session_id)
            thread = self._read()
        if lost := [*thread.unreadable, *thread.session.unreadable]:
            raise Damaged(f"Nobody can read what its row holds as {', '.join(lost)}. Set that anew, then try again.")
        return thread

    def _read(self) -> Thread:
        """The thread with its session; as they are the lease's first append may take them for granted."""
        found = READABLE.rows(self.lease.thread_id)
        if not found:
            raise log.UnknownThread(self.lease.thread_id)
        thread = found[0]
        if not thread.unreadable and not thread.session.unreadable:
            kept = ledgers.taken(thread, thread.version, self.lease.fence, *self.lease.claimed_at)  # type: ignore[attr-defined]
            self.lease.kept, self.lease.seen = kept, session_columns(thread.session)
        return thread

    def _prepare(self) -> Effects:
        thread = self._readable()
        self._tell_of_before()
        spec = specs.load(thread.session, thread)
        model = spec.model["id"]
        self.prompt = Prompt(resolver(spec.workspace_id, partial(specs.media, model, spec.workspace_id), model))
        self._catch_up(self.lease.seen)
        spec = self._with_servers(spec)
        self.effects = Effects(self.lease, spec, self.state, self.prompt, self)
        self._with_repositories(self.effects, thread)
        return self.effects

    def _with_repositories(self, effects: Effects, thread: Thread) -> None:
        """Clone the session's repositories before the model is asked: it is told of the skills in them.

        What keeps the sandbox from opening is told by the first call that needs it.
        """
        if not effects.spec.repositories_pending or self.state.status in ("idle", "terminated"):
            return
        try:
            self.fold(effects.hands.open_sandbox(effects.append))
        except CannotCarryOut as error:
            logger.warning("The repositories of session %s have to wait: %s", thread.session_id, error)
            return
        effects.spec = replace(effects.spec, system=specs.load(thread.session, thread).system)

    def _with_servers(self, spec: TurnSpec) -> TurnSpec:
        """Add the tools of the session's MCP servers, unless the thread rests and needs none."""
        if not spec.toolsets or self.state.status in ("idle", "terminated"):
            return spec
        spec, drafts = servers.joined(spec, self.state.mcp_failed, self.state.tools_left_out)
        if drafts:
            self.fold(log.append(spec.session_id, spec.thread_id, drafts, lease=self.lease))
        return spec

    def _work(self, effects: Effects) -> None:
        while True:
            if self.lease.lost:
                raise log.LeaseLost(self.lease.thread_id)
            if keeper().draining:
                return
            if self.lease.interrupted:
                self.lease.interrupted = False
                self.lease.changed.clear()
                self._catch_up()
            if effects.spec.shared and self.state.outcome is not None:
                self._look_around()
            actions = decide(self.state, self._bounds(), self.lease.now())
            if not actions:
                return
            if isinstance(actions[0], Wait):
                if not self._wait(actions[0].until):
                    return
                continue
            try:
                self.fold(effects.perform(actions))
            except log.Stale:
                self._catch_up()

    def _look_around(self) -> None:
        """Whether others work in this session: no outcome is evaluated meanwhile (spec advanced 10.4)."""
        session_id, own = self.lease.session_id, self.lease.thread_id
        others = Thread.objects.filter(session_id=session_id, status__in=("running", "rescheduling")).exclude(pk=own)
        runs = WorkflowRun.objects.filter(session_id=session_id).exclude(status="ended")
        self.state.others_work = others.exists() or runs.exists()

    def _bounds(self) -> Limits:
        """The limits; read again every few seconds, so that what an operator changes is soon so."""
        if time.monotonic() - self._limits_read_at > LIMITS_KEPT_SECONDS:
            self._limits = specs.limits(self.lease.session_id, self.lease.thread_id)
            self._limits_read_at = time.monotonic()
        return self._limits

    def _wait(self, until: datetime) -> bool:
        """Wait here if it's short; False if somebody else will wake the thread."""
        seconds = (until - self.lease.now()).total_seconds()
        if seconds > WAIT_HERE_SECONDS:
            return False
        connection.close()
        self.lease.changed.wait(max(0.0, seconds))
        self._catch_up()
        return True

    def asks_model(self, coming: Sequence[Event], seen: SessionColumns) -> bool:
        """Whether the model is asked next, once entries that are not in the state yet are on the log."""
        outcome = self.effects is not None and self.effects.spec.shared and self.state.outcome is not None
        if outcome or self.lease.should_stop() or keeper().draining:
            return False
        state = self.state.copied()
        state.session = seen
        for event in coming:
            if event.thread_id != self.lease.thread_id:
                continue
            if event.prior > state.seq:
                return False  # others appended in between
            state.advance(event)
        return decide(state, self._bounds(), self.lease.now()) == [CallModel()]

    def fold(self, stored: list[Event]) -> None:
        """Fold what was just appended, or read the log if others appended in between."""
        self.state.session = self.lease.seen
        for event in stored:
            if event.thread_id != self.lease.thread_id:
                continue  # the session's own status, which concerns no child
            if event.prior > self.state.seq:
                self._catch_up()
                return
            self._fold(event)

    def _catch_up(self, columns: SessionColumns | None = None) -> None:
        """Read the log on from where the state is; ``columns`` of the session if they were just read."""
        self.state.session = columns or log.columns(self.lease.session_id)
        while True:
            page = log.read(self.lease.session_id, after=self.state.seq, thread_id=self.lease.thread_id)
            for event in page:
                self._fold(event)
            if len(page) < log.PAGE:
                return

    def _fold(self, event: Event) -> None:
        self.state.advance(event)
        self.prompt.advance(event)
