"""A session with a log to watch, and helpers to read streams of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import connection
from django.utils import timezone

from agents.models import Agent, Environment, Workspace
from sessions import events as ev
from sessions import hub, log, streams
from sessions.events import Draft
from sessions.models import Session, Thread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sessions.frames import Frame
    from sessions.models import Event
    from sessions.streams import Stream

T = TypeVar("T")
PATIENCE = 20.0


@dataclass
class World:
    """One session, its primary thread and another one."""

    session: Session
    primary: Thread
    child: Thread

    @property
    def id(self) -> str:
        return self.session.pk

    def append(self, *drafts: Draft, thread: Thread | None = None) -> list[Event]:
        return log.append(self.id, (thread or self.primary).pk, drafts)

    def say(self, text: str, **options: Any) -> Event:
        return self.append(Draft(ev.AGENT_MESSAGE, {"content": [{"type": "text", "text": text}]}, **options))[0]

    def begin_request(self) -> Event:
        return self.append(Draft(ev.MODEL_START))[0]

    def end_request(self, start: Event) -> Event:
        return self.append(Draft(ev.MODEL_END, {"model_request_start_id": start.id, "model_usage": {}}))[0]


def make_world(workspace: Workspace | None = None) -> World:
    now = timezone.now()
    workspace = workspace or Workspace.objects.create(name=f"w {now.isoformat()}")
    agent = Agent.objects.create(workspace=workspace, name="a", created_at=now, updated_at=now)
    environment = Environment.objects.create(
        workspace=workspace, name="e", config={"type": "cloud"}, created_at=now, updated_at=now
    )
    session = Session.objects.create(
        workspace=workspace,
        agent=agent,
        agent_version=1,
        agent_snapshot={"name": "a", "model": {"id": "demo"}, "tools": []},
        environment=environment,
        created_at=now,
        updated_at=now,
    )
    stamps = {"agent": {}, "created_at": now, "updated_at": now}
    primary = Thread.objects.create(session=session, agent_name="a", **stamps)
    child = Thread.objects.create(session=session, agent_name="b", parent=primary, **stamps)
    return World(session, primary, child)


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run ``work()`` on a loop of its own, with a hub of its own that ends with it."""

    async def main() -> T:
        try:
            return await asyncio.wait_for(work(), PATIENCE)
        finally:
            await hub.current().close()

    return asyncio.run(main())


async def aside(work: Callable[[], T]) -> T:
    """Do database work away from the loop, as another process would."""

    def inner() -> T:
        try:
            return work()
        finally:
            connection.close()

    return await asyncio.to_thread(inner)


async def until(stream: Stream, seen: Callable[[list[Frame]], bool]) -> list[Frame]:
    """The stream's frames up to the one that makes ``seen`` true; pings are left out."""
    frames: list[Frame] = []
    async for frame in stream:
        if frame.kind != "ping":
            frames.append(frame)
            if seen(frames):
                break
    return frames


async def take(stream: Stream, count: int) -> list[Frame]:
    return await until(stream, lambda frames: len(frames) >= count)


async def drain(stream: Stream) -> list[Frame]:
    """Every frame until the stream ends by itself."""
    return await until(stream, lambda frames: False)


async def subscribed(world: World, after: int | None = None, **options: Any) -> Stream:
    return await streams.subscribe(world.id, after, **options)


async def eventually(condition: Callable[[], object]) -> None:
    """Poll until true; `run` sets the deadline."""
    while not condition():
        await asyncio.sleep(0.01)


def start(event: Event | str, kind: str = ev.AGENT_MESSAGE) -> dict[str, Any]:
    return {"type": "event_start", "event": {"type": kind, "id": event if isinstance(event, str) else event.id}}


def delta(event_id: str, text: str) -> dict[str, Any]:
    content = {"type": "content_delta", "index": 0, "content": {"type": "text", "text": text}}
    return {"type": "event_delta", "event_id": event_id, "delta": content}
