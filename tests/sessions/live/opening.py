"""Opening the pages' websockets as a browser does, without one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from channels.testing import WebsocketCommunicator
from django.contrib.auth import get_user_model
from django.test import Client

from agents.models import Membership, Workspace
from config.asgi import application
from tests.sessions.live.world import World, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ORIGIN = b"http://localhost:8400"
CLOSES_SECONDS = 10


class Person:
    """A signed-in user with a cookie."""

    def __init__(self, name: str, workspace: Workspace | None, role: str = "viewer") -> None:
        self.user = get_user_model().objects.create_user(name, password="x")
        if workspace is not None:
            self.membership = Membership.objects.create(workspace=workspace, user=self.user, role=role)
        self.client = Client()
        self.client.force_login(self.user)

    @property
    def cookie(self) -> bytes:
        return "; ".join(f"{name}={morsel.value}" for name, morsel in self.client.cookies.items()).encode()


def socket(path: str, person: Person | None, origin: bytes = ORIGIN) -> WebsocketCommunicator:
    headers = [(b"origin", origin), (b"host", b"localhost:8400")]
    if person is not None:
        headers.append((b"cookie", person.cookie))
    return WebsocketCommunicator(application, path, headers=headers)


def session_path(world: World, after: int | None = None) -> str:
    return f"/ws/sessions/{world.id}/" + ("" if after is None else f"?after={after}")


async def opened(communicator: WebsocketCommunicator) -> None:
    connected, _ = await communicator.connect(CLOSES_SECONDS)
    assert connected


async def frames(communicator: WebsocketCommunicator) -> AsyncIterator[dict[str, Any]]:
    while True:
        message = await communicator.receive_output(CLOSES_SECONDS)
        if message["type"] == "websocket.close":
            return
        if message["type"] == "websocket.send":
            yield json.loads(message["text"])


async def next_frame(communicator: WebsocketCommunicator) -> dict[str, Any]:
    async for frame in frames(communicator):
        return frame
    raise AssertionError("the socket closed")


async def close_code(communicator: WebsocketCommunicator) -> int:
    while True:
        message = await communicator.receive_output(CLOSES_SECONDS)
        if message["type"] == "websocket.close":
            return int(message["code"])


def closing_code(path: str, person: Person | None) -> int:
    async def work() -> int:
        communicator = socket(path, person)
        await opened(communicator)
        code = await close_code(communicator)
        await communicator.wait()
        return code

    return run(work)
