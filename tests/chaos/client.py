"""The SDK's view of an installation, and the audit that every test of robustness ends with."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anthropic

from tests.live import Installation, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable

BETA = "managed-agents-2026-04-01"
COUNT = "count.txt"
ENDED = {"end_turn", "retries_exhausted", "refusal"}


def client(installation: Installation) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=installation.url,
        api_key=installation.api_key,
        max_retries=5,
        timeout=30,
        _strict_response_validation=True,
    )


def counting_task(steps: int, seconds: float, name: str = "step") -> str:
    """A task whose every step leaves one line behind, so that a step done twice shows."""
    return " ".join(
        f"Run `echo {name}-{number} >> /mnt/session/outputs/{COUNT}; sleep {seconds}; echo {name}-{number} done`."
        for number in range(steps)
    )


@dataclass
class Job:
    """A session of the demo agent, seen through the API alone."""

    installation: Installation
    api: anthropic.Anthropic
    id: str

    @classmethod
    def start(cls, installation: Installation, task: str) -> Job:
        api = client(installation)
        agent = api.beta.agents.create(name="Counter", model="demo", tools=[{"type": "agent_toolset_20260401"}])
        environment = next(iter(api.beta.environments.list()))
        session = api.beta.sessions.create(
            agent=agent.id,
            environment_id=environment.id,
            initial_events=[{"type": "user.message", "content": [{"type": "text", "text": task}]}],
        )
        return cls(installation, api, session.id)

    def events(self) -> list[Any]:
        return list(self.api.beta.sessions.events.list(self.id, limit=1000))

    def say(self, text: str) -> None:
        event: Any = {"type": "user.message", "content": [{"type": "text", "text": text}]}
        self.api.beta.sessions.events.send(self.id, events=[event])

    def operations(self, event_type: str) -> list[dict[str, Any]]:
        """The operator's events of one type, which the SDK's own types don't know."""
        path = f"/v1/sessions/{self.id}/events?types[]={event_type}"
        page: Any = self.api.get(path, cast_to=object, options={"headers": {"anthropic-beta": BETA}})
        return list(page["data"])

    def count(self, event_type: str) -> int:
        return sum(event.type == event_type for event in self.events())

    def wait_for(self, event_type: str, number: int = 1, seconds: float = 60) -> None:
        wait_for(lambda: self.count(event_type) >= number, seconds, lambda: f"no {event_type}:\n{self.trace()}")

    def wait_for_text(self, event_type: str, text: str, seconds: float = 60) -> None:
        def seen() -> bool:
            return any(event.type == event_type and text in event.to_json() for event in self.events())

        wait_for(seen, seconds, lambda: f"no {event_type} with {text!r}:\n{self.trace()}")

    def wait_until_idle(self, seconds: float = 90) -> None:
        wait_for(self._is_over, seconds, lambda: f"{self.id} did not come to rest:\n{self.trace()}")

    def _is_over(self) -> bool:
        try:
            return self.api.beta.sessions.retrieve(self.id).status == "idle"
        except anthropic.APIConnectionError:
            return False

    def trace(self) -> str:
        lines = [event.to_json(indent=None)[:300] for event in self.events()[-25:]]
        return "\n".join([*lines, self.installation.log("worker1")[-3000:]])

    def side_effects(self) -> list[str]:
        """The lines that the steps left behind, as the Files API gives them."""
        for file in self.api.beta.files.list(scope_id=self.id):
            if file.filename == COUNT:
                return self.api.beta.files.download(file.id).text().split()
        return []

    def audit(self) -> list[str]:
        """What is wrong with the log: a call without exactly one result, a request without one end."""
        events = self.events()
        calls = [event.id for event in events if event.type == "agent.tool_use"]
        results = [event.tool_use_id for event in events if event.type == "agent.tool_result"]
        starts = [event.id for event in events if event.type == "span.model_request_start"]
        ends = [event.model_request_start_id for event in events if event.type == "span.model_request_end"]
        complaints = [f"call {call} has {results.count(call)} results" for call in calls if results.count(call) != 1]
        complaints += [f"request {start} has {ends.count(start)} ends" for start in starts if ends.count(start) != 1]
        if len({event.id for event in events}) != len(events):
            complaints.append("an event is listed twice")
        return complaints + _twice(self.side_effects())


def _twice(lines: Iterable[str]) -> list[str]:
    return [f"{line} was done {times} times" for line, times in collections.Counter(lines).items() if times > 1]
