"""The demo, reached both ways: inside this process, and over a loopback socket."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from agents.providers.anthropic import AnthropicProvider
from agents.providers.demo.provider import demo_provider
from agents.providers.demo.server import DemoServer
from tests.agents.providers import asking
from tests.agents.providers.asking import close

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def closed_afterwards() -> Iterator[None]:
    yield
    asking.close_all()


@pytest.fixture
def server() -> Iterator[DemoServer]:
    """The demo on a port of its own."""
    with DemoServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield running
        running.shutdown()


@pytest.fixture
def demo() -> Iterator[AnthropicProvider]:
    """The demo in this process, with a memory of its own."""
    provider = demo_provider(read_timeout=30.0)
    yield provider
    close(provider)


@pytest.fixture(params=["in process", "over a socket"])
def either(request: pytest.FixtureRequest) -> Iterator[AnthropicProvider]:
    """The demo as a provider, once in this process and once over a socket."""
    if request.param == "in process":
        yield request.getfixturevalue("demo")
        return
    address = request.getfixturevalue("server").url
    provider = AnthropicProvider(base_url=address, api_key="any", retries=0, read_timeout=30.0)
    yield provider
    close(provider)
