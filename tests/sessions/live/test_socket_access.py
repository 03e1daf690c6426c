"""Who may watch which socket: a teammate of each role, and nobody of another workspace."""

from __future__ import annotations

import json
from functools import partial

import pytest

from agents.models import Workspace
from contract.roles import Role
from sessions.routing import websocket_urlpatterns
from tests.sessions.live.test_sockets import CLOSES_SECONDS, Person, socket
from tests.sessions.live.world import World, make_world, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world() -> World:
    return make_world()


def test_at_every_socket_a_teammate_of_any_role_watches_and_an_outsider_does_not(world: World) -> None:
    """Every path of the routing table: sockets only show, so each role of the workspace may watch."""
    team = [Person(f"a-{role.value}", world.session.workspace, role.value) for role in Role]
    outsider = Person("charlie", Workspace.objects.create(name="elsewhere"), "admin")

    async def first_frame(path: str, person: Person) -> str:
        communicator = socket(path, person)
        assert (await communicator.connect(CLOSES_SECONDS))[0]
        frame = await communicator.receive_output(CLOSES_SECONDS)
        await communicator.disconnect()
        return json.dumps(frame) if frame["type"] == "websocket.send" else f"closed {frame['code']}"

    world.say("only for us")
    for pattern in websocket_urlpatterns:
        path = "/" + str(pattern.pattern).replace("<str:session_id>", world.id) + "?after=0"
        for person in team:
            assert "closed" not in run(partial(first_frame, path, person)), f"{person.user} at {path}"
        seen = run(partial(first_frame, path, outsider))
        assert world.id not in seen, path
        assert seen == "closed 4403" or world.id not in path, path
