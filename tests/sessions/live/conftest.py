"""What every test of the live parts begins with."""

from __future__ import annotations

import pytest

from tests.sessions.live.opening import Person
from tests.sessions.live.world import World, make_world


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def alice(world: World) -> Person:
    return Person("alice", world.session.workspace)
