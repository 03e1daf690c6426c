"""A conversation with a live server through the official SDK and nothing else."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anthropic
from anthropic.lib.sessions import accumulate_managed_agents_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.live import Installation

PATIENCE_SECONDS = 60.0
TOOLSET = "agent_toolset_20260401"
DELTAS: list[Any] = ["agent.message", "agent.thinking"]


def client_of(installation: Installation) -> anthropic.Anthropic:
    """The SDK as anyone would use it, with every response checked against its own types."""
    return anthropic.Anthropic(
        base_url=installation.url,
        api_key=installation.api_key,
        timeout=PATIENCE_SECONDS,
        max_retries=0,
        _strict_response_validation=True,
    )


def text(*lines: str) -> dict[str, Any]:
    """A ``user.message`` event."""
    return {"type": "user.message", "content": [{"type": "text", "text": line} for line in lines]}


class Talk:
    """One session and the ways to take part in it."""

    def __init__(self, client: anthropic.Anthropic, session_id: str) -> None:
        self.client = client
        self.id = session_id

    @classmethod
    def begin(
        cls,
        client: anthropic.Anthropic,
        *,
        tools: list[Any] | None = None,
        agent: dict[str, Any] | None = None,
        **session: Any,
    ) -> Talk:
        offered: list[Any] = [{"type": TOOLSET}] if tools is None else tools
        made = client.beta.agents.create(name="Tester", model="demo", tools=offered, **(agent or {}))
        environment = client.beta.environments.create(name=f"env {time.time_ns()}", config={"type": "cloud"})
        created = client.beta.sessions.create(agent=made.id, environment_id=environment.id, **session)
        return cls(client, created.id)

    def send(self, *events: Any) -> list[Any]:
        return list(self.client.beta.sessions.events.send(self.id, events=list(events)).data or [])

    def retrieve(self) -> Any:
        return self.client.beta.sessions.retrieve(self.id)

    def log(self, **query: Any) -> list[Any]:
        """Every listed event, oldest first."""
        return list(self.client.beta.sessions.events.list(self.id, order="asc", **query))

    @contextmanager
    def watching(self, **options: Any) -> Iterator[Iterator[Any]]:
        """An open stream, cut off after a minute: pings would keep a silent one open for ever."""
        with self.client.beta.sessions.events.stream(self.id, **options) as stream:
            cut = threading.Timer(PATIENCE_SECONDS, stream.response.close)
            cut.start()
            try:
                yield iter(stream)
            finally:
                cut.cancel()

    def turn(self, *events: Any, on: Callable[[Any], object] | None = None) -> list[Any]:
        """Send ``events`` with the stream opened first; everything up to ``session.status_idle``.

        ``on`` sees each event as it arrives.
        """
        with self.watching(event_deltas=DELTAS) as stream:
            self.send(*events)
            return until_idle(stream, on)

    def says(self, message: str, on: Callable[[Any], object] | None = None) -> list[Any]:
        return self.turn(text(message), on=on)


def until_idle(stream: Iterable[Any], on: Callable[[Any], object] | None = None) -> list[Any]:
    return until(stream, lambda event: event.type == "session.status_idle", on)


def until(stream: Iterable[Any], last: Callable[[Any], bool], on: Callable[[Any], object] | None = None) -> list[Any]:
    seen = []
    for event in stream:
        seen.append(event)
        if on is not None:
            on(event)
        if last(event):
            return seen
    raise AssertionError(f"the stream ended after {types(seen)}")


def types(events: Iterable[Any]) -> list[str]:
    return [event.type for event in events]


def logged(events: Iterable[Any]) -> list[Any]:
    """Without the previews, which are on no log."""
    return [event for event in events if event.type not in {"event_start", "event_delta"}]


def only(events: Iterable[Any], event_type: str) -> Any:
    found = [event for event in events if event.type == event_type]
    assert len(found) == 1, f"{len(found)} {event_type} in {types(events)}"
    return found[0]


def all_of(events: Iterable[Any], event_type: str) -> list[Any]:
    return [event for event in events if event.type == event_type]


def said(event: Any) -> str:
    """The text of an event's content."""
    return "".join(block.text for block in event.content if block.type == "text")


def last_words(events: Iterable[Any]) -> str:
    return said(all_of(events, "agent.message")[-1])


def previews(events: Iterable[Any]) -> dict[str, str]:
    """What the previews alone add up to, by event id, by the SDK's own accumulator."""
    found: dict[str, str] = {}
    snapshot = None
    for event in events:
        if event.type in {"event_start", "event_delta"}:
            snapshot = accumulate_managed_agents_event(snapshot, event)
            if snapshot is not None:
                found[snapshot.id] = said(snapshot)
    return found
