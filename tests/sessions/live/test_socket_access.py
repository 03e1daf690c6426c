"""Who may watch which socket: a teammate of each role, and nobody of another workspace."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from agents.actions import create_environment
from agents.models import Workspace
from contract.acting import Acting
from contract.roles import Role
from sessions import hub
from sessions.routing import websocket_urlpatterns
from tests.sessions.live.opening import Person, socket

if TYPE_CHECKING:
    from tests.sessions.live.world import World

PATIENCE = 60
SILENT = ("/ws/agents/", "/ws/list/")  # say nothing before something happens
pytestmark = pytest.mark.django_db(transaction=True)


async def first_frame(path: str, person: Person) -> str:
    """What a socket says first, or the code it closes with."""
    communicator = socket(path, person)
    try:
        assert (await communicator.connect(PATIENCE))[0]
        if path.startswith(SILENT) and await communicator.receive_nothing():
            return "open"
        frame = await communicator.receive_output(PATIENCE)
        await communicator.disconnect()
    finally:
        await hub.current().close()
    return json.dumps(frame) if frame["type"] == "websocket.send" else f"closed {frame['code']}"


@pytest.mark.parametrize("route", [str(pattern.pattern) for pattern in websocket_urlpatterns])
def test_a_teammate_of_any_role_watches_and_an_outsider_does_not(world: World, route: str) -> None:
    """Every path of the routing table; of the live parts, one that each role may see. Sockets only show, so each
    role of the workspace may watch.
    """
    outsider = Person("charlie", Workspace.objects.create(name="elsewhere"), "admin")
    world.say("only for us")
    acting = Acting(world.session.workspace_id, Role.ADMIN, "alice")
    machines = create_environment({"name": "Machines", "config": {"type": "self_hosted"}}, acting)
    path = f"/{route}?after=0&show=queue&of={machines.pk}".replace("<str:session_id>", world.id)
    for role in Role:
        person = Person(f"a-{role.value}", world.session.workspace, role.value)
        assert "closed" not in asyncio.run(first_frame(path, person)), role.value
    seen = asyncio.run(first_frame(path, outsider))
    assert world.id not in seen
    assert seen == "closed 4403" or (world.id not in path and "/part/" not in path)
