"""One sandbox host for each identity and test process, and a bench with a sandbox of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents.sandboxes.conformance import Bench
from tests.agents.sandboxes.hosts import IDENTITIES, RunningHost

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "sk-of-the-host-9f31"


@pytest.fixture(scope="session", params=IDENTITIES)
def host(request: pytest.FixtureRequest) -> Iterator[RunningHost]:
    running = RunningHost(request.param, secret=SECRET)
    yield running
    running.stop()


@pytest.fixture
def bench(host: RunningHost) -> Iterator[Bench]:
    bench = Bench(host.client)
    yield bench
    bench.discard()
