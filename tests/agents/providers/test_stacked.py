"""The stack of connections: each used again, none shared, closed ones left out, and a bound on all of them."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import httpcore2
import httpx2
import pytest

from agents.providers import interrupt, stacked, transport
from agents.providers.base import TurnInterrupted
from agents.providers.stacked import StackedPool
from tests.live import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


class Answers(BaseHTTPRequestHandler):
    """Says from which port it was asked; ``/bye`` closes the connection without saying so first."""

    protocol_version = "HTTP/1.1"
    gone: ClassVar[threading.Event]

    def do_GET(self) -> None:
        port = str(self.client_address[1]).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(port)))
        self.end_headers()
        self.wfile.write(port)
        self.close_connection = self.path == "/bye"

    def finish(self) -> None:
        super().finish()
        self.gone.set()

    def log_message(self, *told: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def address() -> Iterator[str]:
    Answers.gone = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    with transport.http_client(connect=10, read=10, streams=4) as client:
        yield client


def test_the_connection_used_last_is_used_next_and_none_by_two_at_a_time(client: httpx2.Client, address: str) -> None:
    with client.stream("GET", address) as first, client.stream("GET", address) as second:
        ports = [response.read() for response in (first, second)]
    assert len(set(ports)) == 2
    assert client.get(address).content == ports[1]
    assert client.get(address).content == ports[1]


def test_a_connection_that_its_server_closed_is_not_used_again(client: httpx2.Client, address: str) -> None:
    gone = client.get(f"{address}bye").content
    assert Answers.gone.wait(10)
    wait_for(lambda: all(one.has_expired() for one in _idle(client)), 10)
    assert client.get(address).content != gone
    assert len(_idle(client)) == 1


def test_a_response_that_was_not_read_gives_no_connection_back(client: httpx2.Client, address: str) -> None:
    with client.stream("GET", address) as response:
        assert response.status_code == 200
    assert _idle(client) == []
    assert client.get(address).status_code == 200


def test_connections_unused_for_long_are_closed_as_others_come_back(
    client: httpx2.Client, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacked, "LOOK_SECONDS", 0.0)
    with client.stream("GET", address) as first, client.stream("GET", address) as second:
        for response in (first, second):
            response.read()
    oldest = _idle(client)[0]
    oldest._expires_at = 0.0  # type: ignore[attr-defined]
    client.get(address)
    assert oldest.is_closed()
    assert len(_idle(client)) == 1


def test_a_connection_that_another_takes_as_it_comes_back_is_not_closed() -> None:
    class TakenAtOnce(httpcore2.ConnectionInterface):
        """In use again by the time it is looked at once more."""

        closed = False

        def __init__(self) -> None:
            self._looks = iter([True])

        def handle_request(self, request: httpcore2.Request) -> httpcore2.Response:
            return httpcore2.Response(200, content=b"")

        def is_available(self) -> bool:
            return next(self._looks, False)

        def has_expired(self) -> bool:
            return False

        def close(self) -> None:
            self.closed = True

    made = TakenAtOnce()
    pool = StackedPool(lambda _: made, 1)
    pool.handle_request(httpcore2.Request("GET", "http://model.test/")).close()
    assert not made.closed


def test_a_server_that_is_not_there_takes_no_place(client: httpx2.Client, address: str) -> None:
    for _ in range(40):  # more than there are places
        with pytest.raises(httpx2.ConnectError):
            client.get("http://127.0.0.1:1/")
    assert client.get(address).status_code == 200


def test_there_is_a_bound_and_who_waits_at_it_can_be_interrupted(client: httpx2.Client, address: str) -> None:
    pool = _pool(client)
    pool._most = 1
    with client.stream("GET", address) as response:
        with pytest.raises(httpx2.PoolTimeout):
            client.get(address, timeout=httpx2.Timeout(10, pool=0.01))
        asked = iter([False, True])
        with pytest.raises(TurnInterrupted), interrupt.scope(lambda: next(asked), seconds=60, max_bytes=1000):
            client.get(address)
        response.read()
    assert client.get(address).status_code == 200


def test_a_closed_client_has_no_open_connections(address: str) -> None:
    client = transport.http_client(connect=10, read=10, streams=4)
    client.get(address)
    (idle,) = _idle(client)
    client.close()
    assert idle.is_closed()


def _pool(client: httpx2.Client) -> StackedPool:
    assert isinstance(client._transport, httpx2.HTTPTransport)
    pool: object = client._transport._pool
    assert isinstance(pool, StackedPool)
    return pool


def _idle(client: httpx2.Client) -> list[httpcore2.ConnectionInterface]:
    return [connection for stack in _pool(client)._idle.values() for connection in stack]


def test_what_is_in_use_when_the_pool_is_closed_is_closed_when_it_is_done(client: httpx2.Client, address: str) -> None:
    with client.stream("GET", address) as response:
        client.close()
        assert response.read().isdigit()
    assert Answers.gone.wait(10)
