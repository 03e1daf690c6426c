"""A session whose agent starts several others at once, each with steps of its own, in the sandbox that they share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.chaos.client import COUNT, Job, client

if TYPE_CHECKING:
    from tests.live import Installation


def lines(child: int, steps: int) -> list[str]:
    """What the steps of a child leave behind."""
    return [f"child-{child}-{step}" for step in range(steps)]


def task(child: int, steps: int, seconds: float) -> str:
    made = lines(child, steps)
    return " ".join(f"Run `echo {one} >> /mnt/session/outputs/{COUNT}; sleep {seconds}; echo {one}`." for one in made)


@dataclass
class TeamJob(Job):
    """A coordinator and its children; ``events`` are those of all of their threads."""

    @classmethod
    def begin(cls, installation: Installation, children: int, steps: int, seconds: float) -> TeamJob:
        api = client(installation)
        tools: list[Any] = [{"type": "agent_toolset_20260401"}]
        worker = api.beta.agents.create(name="worker", model="demo", tools=tools)
        roster: Any = {"type": "coordinator", "agents": [worker.id]}
        lead = api.beta.agents.create(name="Lead", model="demo", multiagent=roster)
        given = [{"agent": "worker", "message": task(number, steps, seconds)} for number in range(children)]
        said = " ".join(f"Use ant__start_agent with {json.dumps(one)}." for one in given) + " in parallel"
        session = api.beta.sessions.create(
            agent=lead.id,
            environment_id=next(iter(api.beta.environments.list())).id,
            initial_events=[{"type": "user.message", "content": [{"type": "text", "text": said}]}],
        )
        return cls(installation, api, session.id)

    def events(self) -> list[Any]:
        found = {event.id: event for event in super().events()}
        threads = self.api.beta.sessions.threads
        for thread in threads.list(self.id):
            if thread.parent_thread_id is not None:
                found |= {event.id: event for event in threads.events.list(thread.id, session_id=self.id, limit=1000)}
        return list(found.values())

    def reported(self) -> tuple[list[str], list[str]]:
        """The ids of the children that were started, and of those that reported, each sorted."""
        events = Job.events(self)
        created = [event.session_thread_id for event in events if event.type == "session.thread_created"]
        heard = [event.from_session_thread_id for event in events if event.type == "agent.thread_message_received"]
        return sorted(created), sorted(heard)
