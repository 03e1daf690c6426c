"""Carrying out the coordination tools: each call is one transaction that changes the log of all threads concerned.

So a worker that is killed has either done a call, with its result, or has done nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import transaction

from agents.tools import coordination as tools
from contract.errors import InvalidRequest
from sessions import events as ev
from sessions import log, teams, threads
from sessions.events import Draft
from sessions.inline import inline_definition
from sessions.models import Event
from sessions.projections import talk
from sessions.projections.tasks import TYPES as TASK_TYPES
from sessions.projections.tasks import Task, TaskList, task_list
from sessions.teams import COORDINATOR
from sessions.threads import Held, Refused
from sessions.workflows import runs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sessions.harness.lease import Lease
    from sessions.harness.spec import TurnSpec
    from sessions.harness.state import Call
    from sessions.models import Thread

LOOK_BACK = 300  # entries of two threads among which an exchange without work is looked for
MAX_TASKS = 1_000
MAX_TITLE = 500
MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class Done:
    """What a call did: the text of its result, what goes on the caller's log before it, and what follows that."""

    said: str
    drafts: Sequence[Draft] = ()
    then: Sequence[Callable[[], object]] = ()


class TeamWork:
    """The coordination calls of one turn."""

    def __init__(self, spec: TurnSpec, lease: Lease) -> None:
        self._spec = spec
        self._lease = lease

    def perform(self, call: Call) -> list[Event]:
        """Carry out a call and log its result; returns the thread's own new entries.

        Raises ``log.LeaseLost``; then nothing was done.
        """
        handler = HANDLERS[call.name]
        with transaction.atomic():
            held = threads.hold(self._spec.session_id)
            own = held.threads[self._spec.thread_id]
            try:
                with transaction.atomic():
                    done = handler(self, held, own, call.input)
                    result = ev.result_draft(call.type, call.id, threads.text(done.said), is_error=False)
            except Refused as refusal:
                done, result = Done("", refusal.drafts), ev.error_draft(call.type, call.id, str(refusal))
            stored = log.append(own.session_id, own.pk, [*done.drafts, result], lease=self._lease)
            for step in done.then:
                step()
            return stored

    def _send(self, held: Held, own: Thread, given: Mapping[str, Any]) -> Done:
        receiver = self._find(held, own, given["agent"])
        if receiver is None:
            return self._start(held, own, given)
        if receiver.pk == own.pk:
            raise Refused("You can't send a message to yourself.")
        count = self._exchanged(held, own, receiver)
        name = threads.display_name(receiver)
        if count >= talk.PAUSE_AFTER:
            note = {"with": name, "session_thread_id": receiver.pk, "messages": count}
            raise Refused(talk.PAUSED.format(name=name, count=count), [Draft(ev.OPS_ONLY_TALK, note)])
        content = threads.text(given["message"])
        said = f"Sent to {name}."
        if count + 1 >= talk.REMIND_AFTER:
            said += " " + talk.REMINDER.format(name=name, count=count + 1)
        return Done(
            said, [threads.sent(receiver, content)], [lambda: threads.deliver(own, receiver, content, "message")]
        )

    def _exchanged(self, held: Held, own: Thread, other: Thread) -> int:
        """See ``talk.exchanged``; what a person says to the session begins a new count for everybody."""
        said = Event.objects.filter(thread=held.primary, type=ev.USER_MESSAGE).order_by("-seq").values_list("seq")
        since = (said.first() or (0,))[0]
        rows = Event.objects.filter(thread_id__in=(own.pk, other.pk), type__in=talk.RELEVANT, seq__gt=since)
        rows = rows.order_by("-seq")
        return talk.exchanged(rows.defer("private")[:LOOK_BACK], own.pk, other.pk)

    def _find(self, held: Held, own: Thread, name: str) -> Thread | None:
        """The open thread that ``name`` means; None if the primary thread may start an agent of that name."""
        if name in held.threads:
            return held.threads[name]
        if name == COORDINATOR:
            return held.primary
        named = [thread for thread in held.children() if thread.agent_name == name]
        if len(named) > 1:
            listed = ", ".join(f"{thread.pk} ({thread.status})" for thread in named)
            raise Refused(f"Several threads are called {name}; name one by its id: {listed}.")
        if named:
            return named[0]
        if own.parent_id is None and name in self._spec.team.subagents.members:
            return None
        known = sorted({thread.agent_name for thread in held.children()} | {COORDINATOR})
        raise Refused(f"There is no open thread of an agent {name!r}. There are: {', '.join(known)}.")

    def _list(self, held: Held, own: Thread, given: Mapping[str, Any]) -> Done:
        lines = [f"- {threads.display_name(held.primary)} ({held.primary.pk}): {held.primary.status}"]
        lines += [f"- {thread.agent_name} ({thread.pk}): {_state(thread)}" for thread in held.children()]
        said = ["Open threads:", *lines]
        if own.parent_id is None:
            members = self._spec.team.subagents.members.items()
            said += [
                "Agents that you can start:",
                *(f"- {name}: {one.get('description') or ''}" for name, one in members),
            ]
            said.append(f"{len(held.children())} of {threads.MAX_CHILDREN} places are taken.")
        return Done("\n".join(said))

    def _start(self, held: Held, own: Thread, given: Mapping[str, Any]) -> Done:
        threads.check_room(held)
        name, definition = given["agent"].strip(), given.get("definition")
        agent = self._definition(held, name, definition)
        content = threads.text(given["message"])
        child, created = threads.open_thread(held, agent, agent["name"])
        said = f"Started {child.agent_name} ({child.pk})."
        drafts = [created, threads.sent(child, content)]
        return Done(said, drafts, [lambda: threads.deliver(own, child, content, "task")])

    def _definition(self, held: Held, name: str, definition: Mapping[str, Any] | None) -> Mapping[str, Any]:
        part = self._spec.team.subagents
        if definition is None:
            if name not in part.members:
                known = ", ".join(part.members) or "none"
                raise Refused(f"There is no agent {name!r} to start. Listed are: {known}.")
            return part.members[name]
        if not part.inline:
            raise Refused("You can't define agents here; start one from your list.")
        if not name or len(name) > MAX_NAME or name in (COORDINATOR, teams.ADVISOR_NAME) or name in part.members:
            raise Refused(f"A new agent needs a name of its own, of at most {MAX_NAME} characters.")
        return inline_definition(held.session.agent_snapshot, name, definition)

    def _run_workflow(self, held: Held, own: Thread, given: Mapping[str, Any]) -> Done:
        if told := runs.refuse_beyond_limit(held):
            raise Refused(told.payload["error"]["message"], [told])
        return Done(*runs.start(held, own, given))

    def _stop_workflow(self, held: Held, own: Thread, given: Mapping[str, Any]) -> Done:
        run = runs.find(held, given["run_id"])
        return Done(f"Stopped {run.pk}.", then=[lambda: runs.stop(held, run)])

    def _archive(self, held: Held, own: Thread, given: Mapping[str, Any]) -> Done:
        thread = self._find(held, own, given["agent"])
        if thread is None:
            raise Refused(f"There is no open thread of {given['agent']}.")
        try:
            threads.end_thread(thread)
        except InvalidRequest as error:
            raise Refused(error.message) from None
        return Done(f"Archived {thread.agent_name} ({thread.pk}).")

    def _tasks(self, held: Held, own: Thread, given: Mapping[str, Any]) -> Done:
        rows = Event.objects.filter(session_id=own.session_id, type__in=TASK_TYPES).order_by("seq")
        known = task_list(rows.defer("private"))
        action = given["action"]
        if action == "list":
            return Done(known.lines())
        if action == "create":
            return _create_task(known, own, given)
        task = known.tasks.get(given.get("task_id", ""))
        if task is None:
            raise Refused(f"{action} needs the task_id of a task on the list.\n{known.lines()}")
        return TASK_ACTIONS[action](known, task, own, given)


def _state(thread: Thread) -> str:
    if thread.status == "idle" and ev.only_talks(thread.stop_reason):
        return "paused, as it only exchanged messages with another"
    if thread.status != "idle":
        return str(thread.status)
    return "waits for a person" if thread.pending else "idle"


def _create_task(known: TaskList, own: Thread, given: Mapping[str, Any]) -> Done:
    title = given.get("title", "").strip()
    if not 1 <= len(title) <= MAX_TITLE:
        raise Refused(f"A new task needs a title of 1 to {MAX_TITLE} characters.")
    if len(known.tasks) >= MAX_TASKS:
        raise Refused(f"The list holds {MAX_TASKS} tasks, which is the limit.")
    depends_on = list(dict.fromkeys(given.get("depends_on", ())))
    unknown = [one for one in depends_on if one not in known.tasks]
    if unknown:
        raise Refused(f"depends_on: there is no task {unknown[0]}.")
    payload = {
        "task_id": f"task-{len(known.tasks) + 1}",
        "title": title,
        "description": given.get("description", ""),
        "depends_on": depends_on,
        "agent_name": threads.display_name(own),
    }
    return Done(f"Created {payload['task_id']}.", [Draft(ev.OPS_TASK_CREATED, payload)])


def _change(event_type: str, task: Task, own: Thread, **fields: Any) -> list[Draft]:
    payload = {"task_id": task.id, "agent_name": threads.display_name(own), **fields}
    return [Draft(event_type, payload)]


def _claim(known: TaskList, task: Task, own: Thread, given: Mapping[str, Any]) -> Done:
    if task.state == "claimed" and task.owner == own.pk:
        return Done(f"{task.id} is yours already.")
    if task.state != "open":
        raise Refused(f"{task.id} is {task.state} by {task.owner_name}; choose another.")
    if waits := known.waits_for(task):
        raise Refused(f"{task.id} waits for {', '.join(waits)}; choose another.")
    return Done(f"{task.id} is yours.", _change(ev.OPS_TASK_CLAIMED, task, own))


def _finish(known: TaskList, task: Task, own: Thread, given: Mapping[str, Any]) -> Done:
    if task.state == "finished":
        raise Refused(f"{task.id} is finished already, by {task.owner_name}.")
    if task.state == "claimed" and task.owner != own.pk:
        raise Refused(f"{task.id} is claimed by {task.owner_name}; only they finish it.")
    if waits := known.waits_for(task):
        raise Refused(f"{task.id} waits for {', '.join(waits)}.")
    result = threads.text(given.get("result", ""))[0]["text"] if given.get("result") else ""
    return Done(f"{task.id} is finished.", _change(ev.OPS_TASK_FINISHED, task, own, result=result))


def _release(known: TaskList, task: Task, own: Thread, given: Mapping[str, Any]) -> Done:
    """The coordinator may release anybody's task: its owner may be gone."""
    if task.state != "claimed" or (task.owner != own.pk and own.parent_id is not None):
        raise Refused(f"{task.id} isn't yours to release.")
    return Done(f"{task.id} is open again.", _change(ev.OPS_TASK_RELEASED, task, own))


TASK_ACTIONS = {"claim": _claim, "finish": _finish, "release": _release}
HANDLERS: dict[str, Callable[..., Done]] = {
    tools.SEND.name: TeamWork._send,
    tools.LIST.name: TeamWork._list,
    tools.START.name: TeamWork._start,
    tools.ARCHIVE.name: TeamWork._archive,
    tools.TASKS.name: TeamWork._tasks,
    tools.RUN_WORKFLOW.name: TeamWork._run_workflow,
    tools.STOP_WORKFLOW.name: TeamWork._stop_workflow,
}
