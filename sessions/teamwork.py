"""What the inspector shows of a team: the shared task list, the messages between threads, workflow runs with phases.

Bounded reads; counts are whole.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from contract.phrases import Told
from contract.phrases import marked as _
from contract.schema import OURS
from sessions import events as ev
from sessions.models import Event, Session, Thread, WorkflowRun
from sessions.projections.status import OF_THREADS
from sessions.projections.tasks import TYPES, Task, TaskList

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

MESSAGES = 100
RUNS = 10
AGENTS = 50  # of a phase, by name
EXCERPT = 600  # characters of a message
KINDS = {
    "task": _("gave a task to"),
    "report": _("reported to"),
    "failure": _("failed and told"),
    "advice": _("advised"),
}


@dataclass(frozen=True, slots=True)
class ListedTask:
    """A task, what it still waits for, and the newest event about it."""

    task: Task
    waits_for: list[str]
    seq: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message, with the event on its sender's log (0: it has none) and the one on its receiver's."""

    sender: str
    sender_id: str
    receiver: str
    receiver_id: str
    verb: str
    text: str
    cut: bool
    at: datetime
    sent_seq: int
    received_seq: int


@dataclass(slots=True)
class PhaseSeen:
    """A phase of a run: ``state`` is waiting, running or ended; ``agents`` are its threads, the first of them."""

    name: str
    description: str
    state: str
    started: int = 0
    returned: int = 0
    failed: int = 0
    agents: list[tuple[str, str]] = field(default_factory=list)  # id, status


@dataclass(frozen=True, slots=True)
class RunSeen:
    run: WorkflowRun
    name: str
    phases: list[PhaseSeen]
    error: str


def has_team(session: Session) -> bool:
    return session.agent_snapshot.get("multiagent") is not None


def team(session: Session) -> dict[str, Any]:
    """Everything of the tab."""
    own = Thread.objects.filter(session=session, workflow_run_id="")
    names = {
        pk: name if parent else Told(_("coordinator"))
        for pk, name, parent in own.values_list("pk", "agent_name", "parent")
    }
    messages, count = _messages(session, names)
    idle = own.filter(status="idle", archived_at=None)
    stops = [(pk, stop or {}) for pk, stop in idle.values_list("pk", "stop_reason")]
    paused = [(pk, names[pk], stop[OURS]["with"]) for pk, stop in stops if ev.only_talks(stop)]
    return {
        "paused": paused,
        "tasks": _tasks(session),
        "messages": messages,
        "message_count": count,
        "runs": _runs(session),
    }


def _tasks(session: Session) -> list[ListedTask]:
    """Open and claimed ones first, as they are what matters; within, as they were made."""
    known, newest = TaskList(), {}
    for entry in Event.objects.filter(session=session, type__in=TYPES).order_by("seq").defer("private"):
        known.advance(entry)
        newest[entry.payload["task_id"]] = entry.seq
    listed = [ListedTask(task, known.waits_for(task), newest[task.id]) for task in known.tasks.values()]
    return sorted(listed, key=lambda one: one.task.state == "finished")


def _messages(session: Session, names: dict[str, str]) -> tuple[list[Message], int]:
    """The newest messages, oldest first, and how many there are in all.

    A message is two events of one transaction; what went from one thread to another arrived in the same order.
    """
    got = Event.objects.filter(session=session, type=ev.MESSAGE_RECEIVED, thread__in=names)
    sent = Event.objects.filter(session=session, type=ev.MESSAGE_SENT, thread__in=names).defer("private")
    out: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for entry in sent.order_by("-seq")[:MESSAGES]:
        out[entry.thread_id, entry.payload["to_session_thread_id"]].append(entry.seq)
    found = []
    for entry in got.order_by("-seq")[:MESSAGES]:
        sender = entry.payload["from_session_thread_id"]
        pair = out[sender, entry.thread_id]
        found.append(_message(entry, sender, names, pair.pop(0) if pair else 0))
    return found[::-1], got.count()


def _message(entry: Event, sender: str, names: dict[str, str], sent_seq: int) -> Message:
    words = "\n".join(block["text"] for block in entry.payload["content"] if block.get("type") == "text").strip()
    private = entry.private or {}
    return Message(
        sender=names.get(sender, private.get("name", "")),
        sender_id=sender,
        receiver=names[entry.thread_id],
        receiver_id=entry.thread_id,
        verb=KINDS.get(private.get("kind", ""), _("wrote to")),
        text=words[:EXCERPT],
        cut=len(words) > EXCERPT,
        at=entry.created_at,
        sent_seq=sent_seq,
        received_seq=entry.seq,
    )


def _runs(session: Session) -> list[RunSeen]:
    """The newest runs, newest first."""
    runs = list(WorkflowRun.objects.filter(session=session).order_by("-created_at", "-pk")[:RUNS])
    if not runs:
        return []
    ids = [run.pk for run in runs]
    threads = list(
        Thread.objects.filter(workflow_run_id__in=ids)
        .order_by("created_at", "pk")
        .values_list("workflow_run_id", "workflow_key", "pk", "status")
    )
    returned = Event.objects.filter(session=session, type=ev.OPS_WORKFLOW_RESULT, thread__workflow_run_id__in=ids)
    ended = dict(returned.values_list("thread_id", "payload__failed"))
    errors = {
        event.payload["workflow_run_id"]: event.payload["error"]["message"]
        for event in Event.objects.filter(session=session, type=ev.RUN_ERROR).defer("private")
    }
    return [_run(run, [one[1:] for one in threads if one[0] == run.pk], ended, errors.get(run.pk, "")) for run in runs]


def _run(run: WorkflowRun, threads: Iterable[tuple[str, str, str]], ended: dict[str, bool], error: str) -> RunSeen:
    phases = [
        PhaseSeen(phase["name"], phase.get("description") or "", _state(run, index))
        for index, phase in enumerate(run.call["phases"])
    ]
    counts: Counter[tuple[int, str]] = Counter()
    for key, thread_id, status in threads:
        index = int(key.split(":")[0])
        counts[index, "started"] += 1
        counts[index, "returned"] += thread_id in ended
        counts[index, "failed"] += ended.get(thread_id, False)
        if len(phases[index].agents) < AGENTS:
            phases[index].agents.append((thread_id, _agent_state(thread_id, status, ended)))
    for index, phase in enumerate(phases):
        phase.started, phase.returned = counts[index, "started"], counts[index, "returned"]
        phase.failed = counts[index, "failed"]
        if run.status == "ended" and phase.started:
            phase.state = "ended"  # also the one in which the run failed or was stopped
    return RunSeen(run, run.call["name"], phases, error)


def _state(run: WorkflowRun, index: int) -> str:
    if index < run.phase:
        return "ended"
    return "running" if index == run.phase and run.phase_start else "waiting"


def _agent_state(thread_id: str, status: str, ended: dict[str, bool]) -> str:
    if thread_id in ended:
        status = "failed" if ended[thread_id] else "done"
    return OF_THREADS.get(status, status)
