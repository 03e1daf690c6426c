"""The task list that the agents of a session share, folded from the log. Pure.

Agents change it by ``ant__tasks``; who came first is what the log says, so two agents can't both take one task.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from sessions import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sessions.events import Entry

TYPES = (ev.OPS_TASK_CREATED, ev.OPS_TASK_CLAIMED, ev.OPS_TASK_RELEASED, ev.OPS_TASK_FINISHED)
State = Literal["open", "claimed", "finished"]


@dataclass(frozen=True, slots=True)
class Task:
    """One task. ``owner`` is the thread that has claimed or finished it, ``owner_name`` the name of its agent."""

    id: str
    title: str
    description: str
    depends_on: tuple[str, ...]
    created_by: str
    created_at: datetime
    state: State = "open"
    owner: str = ""
    owner_name: str = ""
    result: str = ""
    finished_at: datetime | None = None


@dataclass(slots=True)
class TaskList:
    """All tasks, in the order in which they were created."""

    tasks: dict[str, Task] = field(default_factory=dict)

    def advance(self, entry: Entry) -> None:
        """Take the next entry of the session's log into account."""
        payload = entry.payload
        if entry.type == ev.OPS_TASK_CREATED:
            self.tasks[payload["task_id"]] = Task(
                payload["task_id"],
                payload["title"],
                payload.get("description", ""),
                tuple(payload.get("depends_on", ())),
                payload["agent_name"],
                entry.created_at,
            )
        elif entry.type in TYPES:
            task = self.tasks[payload["task_id"]]
            owner, name = entry.thread_id, payload["agent_name"]
            if entry.type == ev.OPS_TASK_CLAIMED:
                task = replace(task, state="claimed", owner=owner, owner_name=name)
            elif entry.type == ev.OPS_TASK_RELEASED:
                task = replace(task, state="open", owner="", owner_name="")
            else:
                task = replace(
                    task,
                    state="finished",
                    owner=owner,
                    owner_name=name,
                    result=payload.get("result", ""),
                    finished_at=entry.created_at,
                )
            self.tasks[task.id] = task

    def waits_for(self, task: Task) -> list[str]:
        """The ids of the unfinished tasks that ``task`` depends on."""
        return [one for one in task.depends_on if self.tasks[one].state != "finished"]

    def lines(self) -> str:
        """The list as an agent reads it."""
        if not self.tasks:
            return "The task list is empty."
        return "\n".join(self._line(task) for task in self.tasks.values())

    def _line(self, task: Task) -> str:
        state = task.state if task.state == "open" else f"{task.state} by {task.owner_name}"
        waits = self.waits_for(task)
        if task.state == "open" and waits:
            state = f"waits for {', '.join(waits)}"
        details = f"\n  {task.description}" if task.description else ""
        result = f"\n  Result: {task.result}" if task.result else ""
        return f"{task.id} [{state}] {task.title}{details}{result}"


def task_list(entries: Iterable[Entry]) -> TaskList:
    """The list after ``entries``, which are in log order; entries of other types are passed over."""
    found = TaskList()
    for entry in entries:
        found.advance(entry)
    return found
