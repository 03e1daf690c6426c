"""The input side (spec core 10): what clients and people say to a session.

``send`` checks everything first and appends all or nothing, under the lock of the session's row,
so that two senders can never both answer one call or both start one turn. Answers go to the thread whose call
they answer, interrupts to the threads they name, everything else to the primary thread (spec advanced 8.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction

from contract.errors import Conflict, InvalidRequest, NotFound, PermissionDenied
from contract.roles import Permission
from sessions import bounds, budgets, inbound, log, nudges, threads
from sessions import events as ev
from sessions.intake import Intake
from sessions.models import Event, Session, Thread
from sessions.repair import repair
from sessions.wake import wake_on_commit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from contract.acting import Acting
    from sessions.approvals.answers import Aside
    from sessions.threads import Held

ANSWERED_FIELD = {
    ev.USER_TOOL_CONFIRMATION: "tool_use_id",
    ev.USER_TOOL_RESULT: "tool_use_id",
    ev.USER_CUSTOM_TOOL_RESULT: "custom_tool_use_id",
}
RESULTS = (ev.USER_TOOL_RESULT, ev.USER_CUSTOM_TOOL_RESULT)


def send(
    session: Session,
    events: Sequence[Mapping[str, Any]],
    acting: Acting,
    asides: Mapping[str, Aside] | None = None,
    *,
    where: str = "events",
) -> list[Event]:
    """Append inbound events, already of the right shape, and wake the loop; returns their entries.

    ``asides``: what comes with confirmations besides the wire's fields, by the id of the call they answer.

    Raises ``InvalidRequest`` naming the event's place in the list, ``Conflict`` for a session that
    has ended, ``PermissionDenied`` for a role that may only read and for what an outside worker may not say.
    """
    acting.require(Permission.OPERATE)
    _check_worker(events, acting, where)
    try:
        inbound.check(session, events, where)
        return _append(session, events, acting, asides or {}, where)
    except (IntegrityError, *ev.UNREADABLE):  # the log refuses it: the rows were changed by hand
        if not repair(session.pk):
            raise
        session.refresh_from_db()
        inbound.check(session, events, where)
        return _append(session, events, acting, asides or {}, where)


def _append(
    session: Session,
    events: Sequence[Mapping[str, Any]],
    acting: Acting,
    asides: Mapping[str, Aside],
    where: str,
) -> list[Event]:
    with transaction.atomic():
        desk = _Desk(_hold(session), acting, asides)
        for index, event in enumerate(events):
            desk.take(f"{where}.{index}", event)
        stored = {event.id: event for event in desk.append()}
    return [stored[event_id] for event_id in desk.echo]


def _check_worker(events: Sequence[Mapping[str, Any]], acting: Acting, where: str) -> None:
    """An outside worker hands in results; it neither speaks for people nor decides what waits for one."""
    if not acting.is_worker:
        return
    for index, event in enumerate(events):
        if event["type"] not in RESULTS:
            allowed = " and ".join(RESULTS)
            raise PermissionDenied(
                f"{where}.{index}.type: a worker may send {allowed}, not {event['type']}; use an API key."
            )


def _hold(session: Session) -> Held:
    """Lock the session and its threads, so that their state holds still."""
    waiting = Thread.objects.filter(session_id=session.pk).exclude(workflow_run_id="").exclude(pending=[])
    try:
        held = threads.hold(session.pk, *waiting.values_list("pk", flat=True))
    except log.UnknownThread:
        raise NotFound(f"There is no session {session.pk}.") from None
    if held.session.archived_at is not None or held.session.status == "terminated":
        what = "archived" if held.session.archived_at else "terminated"
        raise Conflict(f"Session {session.pk} is {what} and takes no more events. Start a new session.")
    return held


class _Desk:
    """Hands each event of a request to the thread that it is for. ``echo``: ids of the entries of the events."""

    def __init__(self, held: Held, acting: Acting, asides: Mapping[str, Aside]) -> None:
        self._held = held
        self._acting = acting
        self._asides = asides
        self._waits = {call["id"]: thread for thread in held.threads.values() for call in thread.pending}
        self._intakes: dict[str, Intake] = {}
        self._answers = False
        self.echo: list[str] = []

    def take(self, where: str, event: Mapping[str, Any]) -> None:
        if event["type"] == ev.USER_INTERRUPT:
            self._interrupt(where, event)
            return
        answered = ANSWERED_FIELD.get(event["type"])
        self._answers = self._answers or answered is not None
        if event["type"] == ev.USER_MESSAGE or (event["type"] == ev.SYSTEM_MESSAGE and not self._answers):
            self._check_rests(where, event["type"])
        thread = self._waits.get(event[answered], self._held.primary) if answered else self._held.primary
        self._intake(thread).take(where, event)
        self._note(thread)

    def append(self) -> list[Event]:
        """Append what each thread gets; the primary thread's last, so that the session's status is told once."""
        stored: list[Event] = []
        for intake in sorted(self._intakes.values(), key=lambda one: one.thread.parent_id is None):
            drafts = intake.finish()
            if drafts:
                stored += log.append(self._held.session.pk, intake.thread.pk, drafts)
            if intake.wakes:
                wake_on_commit(intake.thread.pk)
            if intake.interrupts:
                _stop_on_commit(self._held.session.pk, intake.thread.pk)
        return stored

    def _check_rests(self, where: str, event_type: str) -> None:
        """Nothing is said to a session that waits for answers (spec advanced 8.5)."""
        if self._held.session.status != "idle" or not all(intake.rests for intake in self._intakes.values()):
            return
        waits = [call for thread in self._held.threads.values() for call in self._open_calls(thread)]
        if waits:
            follow = "a message" if event_type == ev.USER_MESSAGE else "system.message"
            raise InvalidRequest(
                f"{where}: The session waits for answers to {', '.join(waits)}. Answer them, or end the turn with "
                f"user.interrupt, first; {follow} may follow in the same request."
            )

    def _open_calls(self, thread: Thread) -> list[str]:
        intake = self._intakes.get(thread.pk)
        return intake.open_calls if intake else [call["id"] for call in thread.pending]

    def _interrupt(self, where: str, event: Mapping[str, Any]) -> None:
        """One thread if it is named, else every one that isn't of a workflow run (spec advanced 8.6)."""
        named = event.get("session_thread_id")
        if named is None:
            for child in self._held.children():
                self._intake(child).interrupt({}, told=False)
            thread = self._held.primary
        else:
            thread = self._named(f"{where}.session_thread_id", named)
        self._intake(thread).take(where, event)
        self._note(thread)

    def _named(self, where: str, thread_id: str) -> Thread:
        thread = self._held.threads.get(thread_id)
        if thread is None or thread.status == "terminated":
            raise InvalidRequest(f"{where}: There is no running thread {thread_id} in this session.")
        if thread.workflow_run_id:
            raise InvalidRequest(f"{where}: {thread_id} belongs to a workflow run, which an interrupt doesn't end.")
        return thread

    def _intake(self, thread: Thread) -> Intake:
        if thread.pk not in self._intakes:
            rests = thread.status == "idle"
            at_cap = rests and (
                budgets.is_used_up(self._held.session) or bounds.reached(self._held.session) is not None
            )
            self._intakes[thread.pk] = Intake(self._acting, self._held.session, thread, self._asides, at_cap=at_cap)
        return self._intakes[thread.pk]

    def _note(self, thread: Thread) -> None:
        self.echo += [one for one in self._intakes[thread.pk].echo if one not in self.echo]


def _stop_on_commit(session_id: str, thread_id: str) -> None:
    transaction.on_commit(lambda: nudges.publish_interrupt(session_id, thread_id))
