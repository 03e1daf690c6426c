"""A proxy and a TLS server for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.credentials.egress.rig import API, Rig, Server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def rig() -> Iterator[Rig]:
    running = Rig()
    yield running
    running.stop()


@pytest.fixture
def api(rig: Rig) -> Iterator[Server]:
    """The server behind ``API``; it answers with what it received."""
    server = Server()
    rig.names[API] = [["127.0.0.1"]]
    yield server
    server.stop()
