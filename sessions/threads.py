"""Threads of one session: opened, sent messages, reporting back, archived (spec core 12, advanced 8).

Everything here is a change of the log under the lock of the session's row. ``hold`` locks the rows in the one order
in which they may be locked; whoever changes several threads at once calls it first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from contract import audit, ids
from contract.errors import Conflict, InvalidRequest
from contract.roles import Permission
from sessions import events as ev
from sessions import log, prepared
from sessions.events import Draft
from sessions.finding import find_thread, lock_session
from sessions.models import Session, Thread
from sessions.teams import COORDINATOR
from sessions.wake import drive_workflow, wake_on_commit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from django.db.models import QuerySet

    from contract.acting import Acting
    from sessions.harness.lease import Lease
    from sessions.harness.reports import Report
    from sessions.models import Event

MAX_CHILDREN = 25
MAX_MESSAGE = 200_000  # characters of one message between threads


OPEN = ~Q(status="terminated") & Q(workflow_run_id="")


def _locked(session_id: str, which: Q) -> QuerySet[Thread]:
    rows = Thread.objects.select_for_update(of=("self",)).filter(session_id=session_id)
    return rows.filter(which).order_by("id")


LOCKED = prepared.Question(lambda: Session.objects.select_for_update(of=("self",)).filter(pk=prepared.TEXT).order_by())
OPEN_THREADS = prepared.Question(lambda: _locked(prepared.TEXT, OPEN))


class Refused(Exception):
    """What an agent asked of its team can't be done; the text is the error result that it reads.

    ``drafts`` go on the agent's log with it.
    """

    def __init__(self, text: str, drafts: Sequence[Draft] = ()) -> None:
        super().__init__(text)
        self.drafts = drafts


@dataclass(frozen=True, slots=True)
class Held:
    """A session and its open threads, locked until the transaction ends."""

    session: Session
    threads: Mapping[str, Thread]

    @property
    def primary(self) -> Thread:
        return next(thread for thread in self.threads.values() if thread.parent_id is None)

    def children(self) -> list[Thread]:
        """The open threads that the primary one has started, in the order in which it did."""
        found = [one for one in self.threads.values() if one.parent_id and not one.workflow_run_id]
        return [one for one in found if one.agent["type"] != "advisor"]


def hold(session_id: str, *more: str) -> Held:
    """Lock a session and its open threads, those of workflow runs left out unless named in ``more``.

    Raises ``log.UnknownThread`` if the session is gone.
    """
    found = LOCKED.rows(session_id)
    if not found:
        raise log.UnknownThread(session_id)
    threads = list(_locked(session_id, OPEN | Q(pk__in=more))) if more else OPEN_THREADS.rows(session_id)
    return Held(found[0], {thread.pk: thread for thread in sorted(threads, key=lambda one: (one.created_at, one.pk))})


def about(thread: Thread, **fields: Any) -> dict[str, Any]:
    """The fields by which a thread's status events name it."""
    return {"session_thread_id": thread.pk, "agent_name": thread.agent_name, **fields}


def display_name(thread: Thread) -> str:
    """What other agents call a thread."""
    return thread.agent_name if thread.parent_id else COORDINATOR


def open_thread(
    held: Held, agent: Mapping[str, Any], name: str, *, workflow_run_id: str = "", key: str = ""
) -> tuple[Thread, Draft]:
    """A new child thread, and the event that tells of it on its parent's log, which the caller appends."""
    now = timezone.now()
    child = Thread.objects.create(
        session=held.session,
        parent=held.primary,
        agent=dict(agent),
        agent_name=name,
        workflow_run_id=workflow_run_id,
        workflow_key=key,
        created_at=now,
        updated_at=now,
    )
    payload = {"session_thread_id": child.pk, "agent_name": name, "workflow_run_id": workflow_run_id or None}
    return child, Draft(ev.THREAD_CREATED, payload)


def check_room(held: Held) -> None:
    """Refuse a child beyond the limit of open ones (spec advanced 8.2)."""
    if len(held.children()) >= MAX_CHILDREN:
        raise Refused(
            f"{MAX_CHILDREN} agents are open already, which is the limit; archive one that you don't need any more."
        )


def sent(receiver: Thread, content: Sequence[Mapping[str, Any]]) -> Draft:
    """A message as its sender's log tells of it."""
    name = {"to_agent_name": receiver.agent_name} if receiver.parent_id else {}
    return Draft(ev.MESSAGE_SENT, {"to_session_thread_id": receiver.pk, **name, "content": list(content)})


def deliver(sender: Thread, receiver: Thread, content: Sequence[Mapping[str, Any]], kind: str) -> None:
    """Append a message to its receiver's log; a receiver that rests starts to work on it.

    ``kind`` is ``task``, ``message``, ``report`` or ``advice``. Both threads are held by the caller.
    """
    event_id = ids.event_id()
    name = {"from_agent_name": sender.agent_name} if sender.parent_id else {}
    payload = {"from_session_thread_id": sender.pk, **name, "content": list(content)}
    private = {"kind": kind, "name": display_name(sender)}
    drafts = [Draft(ev.MESSAGE_RECEIVED, payload, private=private, id=event_id)]
    if receiver.status == "idle" and not receiver.pending:
        drafts += [Draft(ev.OPS_PROCESSED, {"event_ids": [event_id]}), Draft(ev.THREAD_RUNNING, about(receiver))]
        receiver.status = "running"
        wake_on_commit(receiver.pk)
    log.append(receiver.session_id, receiver.pk, drafts)


def rest(lease: Lease, drafts: Sequence[Draft], report: Report | None, *, expect_seq: int | None = None) -> list[Event]:
    """Append the end of a child's turn, and bring its report to the thread that leads the session, or to its run.

    The report comes first, so that the session does not rest between the two. Raises as ``log.append`` does.
    """
    with transaction.atomic():
        held = hold(lease.session_id, lease.thread_id)
        own = held.threads[lease.thread_id]
        if report is not None and own.workflow_run_id:
            drafts = [_returned(own, report), *drafts]
            Thread.objects.filter(pk=own.pk).update(archived_at=timezone.now())
            transaction.on_commit(lambda: drive_workflow(own.workflow_run_id))
        elif report is not None:
            content = text(report.text)
            deliver(own, held.primary, content, report.kind)
            drafts = [sent(held.primary, content), *drafts]
        return log.append(own.session_id, own.pk, drafts, lease=lease, expect_seq=expect_seq)


def _returned(own: Thread, report: Report) -> Draft:
    """What an agent of a workflow run hands to its run."""
    said = str(text(report.text)[0]["text"])
    return Draft(ev.OPS_WORKFLOW_RESULT, {"key": own.workflow_key, "text": said, "failed": report.failed})


def text(value: str) -> list[dict[str, Any]]:
    """A message's content out of one text; a text that is too long keeps its beginning."""
    if len(value) > MAX_MESSAGE:
        value = f"{value[:MAX_MESSAGE]}\n[cut: the message had {len(value):,} characters]"
    return [{"type": "text", "text": value or "(no text)"}]


@audit.logged("session.thread_archived", "agent_sessions.Thread", "thread_id", within="session", always=True)
def archive_thread(session_id: str, thread_id: str, acting: Acting) -> Thread:
    """End a child thread that rests (spec advanced 8.3). A second time changes nothing."""
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        session = lock_session(session_id, acting)
        thread = find_thread(session_id, thread_id, acting)
        if thread.archived_at is not None:
            return thread
        if session.archived_at is not None:
            raise Conflict(f"Session {session_id} is archived; its threads have ended with it.")
        held = hold(session_id, thread_id)
        end_thread(held.threads.get(thread_id, thread))
    return find_thread(session_id, thread_id, acting)


def end_thread(thread: Thread) -> None:
    """Archive a thread that is held. Raises ``InvalidRequest`` for one that may not end now."""
    if thread.parent_id is None:
        raise InvalidRequest(f"Thread {thread.pk} is the session's primary thread; archive the session instead.")
    if thread.workflow_run_id:
        raise InvalidRequest(
            f"Thread {thread.pk} belongs to the workflow run {thread.workflow_run_id}, which archives it by itself.",
            error_code="workflow_run_open",
        )
    if thread.status in ("running", "rescheduling"):
        raise InvalidRequest(
            f"Thread {thread.pk} is {thread.status} and can't be archived; interrupt it and wait until it is idle."
        )
    if thread.status != "terminated":
        log.append(thread.session_id, thread.pk, [Draft(ev.THREAD_TERMINATED, about(thread))])
    now = timezone.now()
    Thread.objects.filter(pk=thread.pk).update(archived_at=now, updated_at=now)
