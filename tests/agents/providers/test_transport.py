"""The sliced socket: waiting in small pieces must lose no byte, and must end when asked."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any, cast

import httpcore2
import httpx2
import pytest

from agents.providers import interrupt, transport
from agents.providers.base import ProviderError, TurnInterrupted
from agents.providers.line import Line
from agents.providers.stacked import StackedPool
from tests.agents.providers import tls

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world"


class Polls:
    """A stop question that counts how often it was asked, and can wait for a number."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def __call__(self) -> bool:
        with self._changed:
            self._count += 1
            self._changed.notify_all()
        return False

    def wait_for_more(self, more: int) -> None:
        with self._changed:
            target = self._count + more
            assert self._changed.wait_for(lambda: self._count >= target, 30)


class Woken(Polls):
    """One that wakes who waits for its answer."""

    def __init__(self) -> None:
        super().__init__()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._stop = False
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        super().__call__()
        return self._stop

    def fileno(self) -> int:
        return self._woken.fileno()

    def silence(self) -> None:
        self._woken.recv(100)

    def wake(self, *, stop: bool) -> None:
        self._stop = stop
        self._waker.send(b"x")

    def close(self) -> None:
        """Both ends."""
        self._woken.close()
        self._waker.close()


def fetch(address: str, polls: Any, context: ssl.SSLContext | None = None) -> bytes:
    backend = transport.PolledBackend(httpcore2.SyncBackend())
    with (
        interrupt.scope(polls, seconds=60, max_bytes=10_000),
        httpcore2.ConnectionPool(ssl_context=context, network_backend=backend) as pool,
    ):
        return pool.request("GET", address, extensions={"timeout": {"read": 30.0, "connect": 30.0}}).content


@pytest.mark.parametrize(("kind", "looks"), [(Polls, 3), (Woken, 1)])
def test_a_record_that_arrives_in_two_halves_over_tls_is_read_whole(
    tmp_path: Path, kind: type[Polls], looks: int
) -> None:
    certificate = tls.certificate(tmp_path)
    polls = kind()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            shaken = context.wrap_bio(incoming, outgoing, server_side=True)
            _pump(shaken.do_handshake, connection, incoming, outgoing)
            _pump(lambda: shaken.read(65_536), connection, incoming, outgoing)
            shaken.write(RESPONSE)
            record = outgoing.read()
            connection.sendall(record[: len(record) // 2])
            polls.wait_for_more(looks)
            connection.sendall(record[len(record) // 2 :])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    trusting = ssl.create_default_context(cafile=certificate)
    assert fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/", polls, trusting) == b"hello world"
    thread.join(30)
    listener.close()


class Stuck(httpcore2.NetworkBackend):
    """A backend whose connect neither succeeds nor fails until it is let go."""

    def __init__(self) -> None:
        self.trying = threading.Event()
        self.go = threading.Event()
        self.closed = threading.Event()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        self.trying.set()
        self.go.wait(60)
        stream = httpcore2.MockStream([RESPONSE])
        stream.close = self.closed.set  # type: ignore[method-assign]
        return stream


def test_an_interrupt_ends_a_connect_that_hangs_and_the_late_connection_is_closed() -> None:
    stuck = Stuck()
    with (
        pytest.raises(TurnInterrupted),
        interrupt.scope(stuck.trying.is_set, seconds=60, max_bytes=10),
        httpcore2.ConnectionPool(network_backend=transport.PolledBackend(stuck)) as pool,
    ):
        pool.request("GET", "http://127.0.0.1:9/")
    stuck.go.set()
    assert stuck.closed.wait(30)


def test_without_a_scope_the_backend_works_as_the_one_it_wraps() -> None:
    backend = transport.PolledBackend(httpcore2.MockBackend([RESPONSE]))
    with httpcore2.ConnectionPool(network_backend=backend) as pool:
        assert pool.request("GET", "http://127.0.0.1:9/").content == b"hello world"


def test_a_reply_over_the_budget_of_bytes_is_dropped() -> None:
    backend = transport.PolledBackend(httpcore2.MockBackend([RESPONSE]))
    with (
        pytest.raises(ProviderError, match="larger than allowed"),
        interrupt.scope(lambda: False, seconds=60, max_bytes=10),
        httpcore2.ConnectionPool(network_backend=backend) as pool,
    ):
        pool.request("GET", "http://127.0.0.1:9/")


def test_a_turn_over_its_time_is_dropped_and_can_be_asked_again() -> None:
    with (
        pytest.raises(ProviderError, match="longer than allowed") as caught,
        interrupt.scope(lambda: False, seconds=0.01, max_bytes=10),
    ):
        interrupt.pause(60)
    assert caught.value.retryable


def test_scopes_belong_to_their_thread_and_end_with_it() -> None:
    with interrupt.scope(lambda: True, seconds=60, max_bytes=10):
        other = threading.Thread(target=interrupt.poll)
        other.start()
        other.join()
    assert interrupt.current() is None
    interrupt.poll()


def test_every_pool_of_the_client_is_polled_also_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with transport.http_client(connect=1, read=1, streams=4) as client:
        transports = [client._transport, *(mounted for mounted in client._mounts.values() if mounted)]
        assert len(transports) >= 2
        for each in transports:
            assert isinstance(each, httpx2.HTTPTransport)
            pool: Any = each._pool
            assert isinstance(pool, StackedPool)
            made: Any = pool.make(httpcore2.Origin(b"https", b"example.org", 443))
            opener = cast("Any", made._opened).__self__ if isinstance(made, Line) else made._connection
            assert isinstance(opener._network_backend, transport.PolledBackend)
        assert not client.follow_redirects


def test_an_http_client_that_cannot_be_polled_is_noticed() -> None:
    with pytest.raises(RuntimeError, match="httpx2 changed"):
        transport._make_polled(httpx2.BaseTransport(), 1)


def _pump(step: Any, connection: socket.socket, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
    while True:
        try:
            step()
        except ssl.SSLWantReadError:
            connection.sendall(outgoing.read())
            incoming.write(connection.recv(65_536))
            continue
        connection.sendall(outgoing.read())
        return


def test_one_that_wakes_is_asked_when_it_wakes_and_a_stall_ends_at_once() -> None:
    polls, ended = Woken(), threading.Event()
    with contextlib.closing(polls), contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:

        def ask() -> None:
            with pytest.raises(TurnInterrupted):
                fetch(f"http://127.0.0.1:{server.getsockname()[1]}/", polls)
            ended.set()

        asking = threading.Thread(target=ask)
        asking.start()
        connection, _ = server.accept()
        with connection:
            connection.settimeout(30)
            assert connection.recv(1000).startswith(b"GET")
            polls.wake(stop=False)
            polls.wait_for_more(1)
            polls.wake(stop=True)
            assert ended.wait(30), "and nothing was ever sent"
        asking.join(30)
    assert polls.asked < 40, "a false alarm costs one look"


def test_silence_longer_than_allowed_ends_though_nobody_wakes() -> None:
    polls = Woken()
    with (
        contextlib.closing(polls),
        contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server,
        interrupt.scope(polls, seconds=60, max_bytes=100),
    ):
        stream = transport.PolledBackend(httpcore2.SyncBackend()).connect_tcp(*server.getsockname())
        with contextlib.closing(stream), pytest.raises(httpcore2.ReadTimeout):
            stream.read(100, timeout=0.5)
