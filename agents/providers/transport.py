"""The HTTP client under the SDK: a bounded pool whose every wait can be interrupted.

The socket is waited for in the caller's own thread, in short slices or together with what wakes the turn, so a stalled
stream costs no helper thread. Only DNS, connect and the TLS handshake, which cannot be sliced, run aside.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import httpcore2
import httpx2

from agents.providers import interrupt
from agents.providers.line import Line
from agents.providers.stacked import StackedPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Buffer: TypeAlias = bytes | bytearray | memoryview

LONGEST_WAIT = 5.0  # seconds between two looks at a turn's own limit
MOST_PIECES = 512  # in one system call; the system's own bound is 1,024
_NOT_YET = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class PolledStream(httpcore2.NetworkStream):
    """A network stream that asks the thread's scope before and while it waits.

    A socket is read and written here, without a system call that is not needed: each of them lets another thread of
    hundreds take Python's lock. Where a layer above the socket holds bytes back (TLS inside of TLS), the stream beneath
    is asked in slices.
    """

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner
        self._socket = _bare(inner)
        if self._socket is not None:
            self._socket.setblocking(False)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        scope = interrupt.current()
        if self._socket is None:
            return self._read_in_slices(max_bytes, timeout, scope)
        limit = _limit(timeout)
        while True:
            if not _ready(self._socket, select.POLLIN, scope, limit - time.monotonic()):
                _expect(limit, httpcore2.ReadTimeout)
                continue
            try:
                data = self._socket.recv(max_bytes)
            except _NOT_YET:
                continue
            except OSError as error:
                raise httpcore2.ReadError(str(error)) from error
            if scope is not None:
                scope.count(len(data))
            return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.write_all([buffer], timeout)

    def write_all(self, pieces: Sequence[Buffer], timeout: float | None = None) -> None:
        """Send the pieces as one; ``timeout`` is the longest wait for the other side to take more, in seconds."""
        scope = interrupt.current()
        if scope is not None:
            scope.check()
        if self._socket is None:
            self._inner.write(b"".join(pieces), timeout)
            return
        left = _left([b"".join(pieces)] if isinstance(self._socket, ssl.SSLSocket) else pieces, 0)
        limit = _limit(timeout)
        while left:
            try:
                left, limit = _left(left, _send(self._socket, left)), _limit(timeout)
            except _NOT_YET:
                if not _ready(self._socket, select.POLLOUT, scope, limit - time.monotonic()):
                    _expect(limit, httpcore2.WriteTimeout)
            except OSError as error:
                raise httpcore2.WriteError(str(error)) from error

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        return _aside(lambda: self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def _read_in_slices(self, max_bytes: int, timeout: float | None, scope: interrupt.Scope | None) -> bytes:
        if scope is None:
            return self._inner.read(max_bytes, timeout)
        limit = _limit(timeout)
        while True:
            scope.check()
            left = max(limit - time.monotonic(), 0.001)
            try:
                data = self._inner.read(max_bytes, min(interrupt.SLICE, left))
            except httpcore2.ReadTimeout:
                if time.monotonic() >= limit:
                    raise
                continue
            scope.count(len(data))
            return data


def _limit(timeout: float | None) -> float:
    return float("inf") if timeout is None else time.monotonic() + timeout


def _expect(limit: float, late: type[Exception]) -> None:
    if time.monotonic() >= limit:
        raise late("timed out")


def _bare(stream: httpcore2.NetworkStream) -> socket.socket | None:
    """The socket that gives what the stream would give, if there is one."""
    sock, tls = stream.get_extra_info("socket"), stream.get_extra_info("ssl_object")
    return sock if isinstance(sock, socket.socket) and not isinstance(tls, ssl.SSLObject) else None


def _ready(sock: socket.socket, event: int, scope: interrupt.Scope | None, left: float) -> bool:
    """Ask the scope, then wait until the socket is ready, the scope is woken or to be asked again, or no time is left:
    whether the first.
    """
    if scope is not None:
        scope.check()
    if event == select.POLLIN and isinstance(sock, ssl.SSLSocket) and sock.pending():
        return True
    poll = select.poll()
    poll.register(sock, event)
    waking = scope.waking if scope is not None else None
    if waking is not None:
        poll.register(waking, select.POLLIN)
    longest = interrupt.SLICE if scope is not None and waking is None else LONGEST_WAIT
    ready = [descriptor for descriptor, _ in poll.poll(max(min(left, longest), 0.0) * 1000)]
    if waking is not None and waking.fileno() in ready:
        waking.silence()
    return sock.fileno() in ready


def _send(sock: socket.socket, left: list[memoryview]) -> int:
    return sock.send(left[0]) if isinstance(sock, ssl.SSLSocket) else sock.sendmsg(left[:MOST_PIECES])


def _left(pieces: Sequence[Buffer], sent: int) -> list[memoryview]:
    """What remains of ``pieces`` after the first ``sent`` bytes, nothing of it copied."""
    left = []
    for piece in pieces:
        if len(piece) > sent:
            left.append(memoryview(piece)[sent:])
        sent = max(sent - len(piece), 0)
    return left


class PolledBackend(httpcore2.NetworkBackend):
    """Makes ``PolledStream`` connections out of another backend's."""

    def __init__(self, inner: httpcore2.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        return _aside(lambda: self._inner.connect_tcp(host, port, timeout, local_address, socket_options))

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        return _aside(lambda: self._inner.connect_unix_socket(path, timeout, socket_options))

    def sleep(self, seconds: float) -> None:
        interrupt.pause(seconds)


def http_client(*, connect: float, read: float, streams: int) -> httpx2.Client:
    """The SDK's default client (proxies and certificates of the environment included) with
    our time-outs in seconds, limits and polling. Redirects are not followed: they would carry
    the key to another host.
    """
    from anthropic import DefaultHttpxClient

    limits = httpx2.Limits(keepalive_expiry=30.0)
    timeout = httpx2.Timeout(read, connect=connect, write=30.0, pool=30.0)
    client = DefaultHttpxClient(timeout=timeout, limits=limits, follow_redirects=False)
    for transport in (client._transport, *client._mounts.values()):
        if transport is not None:
            _make_polled(transport, streams + 16)  # a little more than what is ever asked of it
    return client


def _make_polled(transport: httpx2.BaseTransport, most: int) -> None:
    # httpx2 offers no argument for its pools or their backend. Failing loudly here is what makes
    # reaching into it safe: an upgrade that renames it is noticed by the first test.
    pool: Any = getattr(transport, "_pool", None)
    backend = getattr(pool, "_network_backend", None)
    if not isinstance(backend, httpcore2.NetworkBackend):
        raise RuntimeError("httpx2 changed: its connection pool has no network backend to wrap")
    pool._network_backend = PolledBackend(backend)
    transport._pool = StackedPool(partial(_connection, pool), most)  # type: ignore[attr-defined]


def _connection(pool: httpcore2.ConnectionPool, origin: httpcore2.Origin) -> httpcore2.ConnectionInterface:
    """What the pool would make; for a server that is not behind a proxy, with what it opens spoken to by us."""
    made = pool.create_connection(origin)
    if type(made) is not httpcore2.HTTPConnection:
        return made
    return Line(cast("Callable[[httpcore2.Request], PolledStream]", made._connect), pool._keepalive_expiry)


def _aside(connect: Callable[[], httpcore2.NetworkStream]) -> httpcore2.NetworkStream:
    """Run a blocking connection step in a thread of its own and poll while it works."""
    if interrupt.current() is None:
        return PolledStream(connect())
    future: Future[httpcore2.NetworkStream] = Future()
    threading.Thread(target=_settle, args=(future, connect), daemon=True).start()
    while True:
        try:
            interrupt.poll()
            return PolledStream(future.result(timeout=interrupt.SLICE))
        except interrupt.Stopped:
            future.add_done_callback(_close_unused)
            raise
        except FutureTimeout:
            if future.done() and future.exception() is not None:
                raise


def _settle(future: Future[httpcore2.NetworkStream], connect: Callable[[], httpcore2.NetworkStream]) -> None:
    try:
        future.set_result(connect())
    except BaseException as error:
        future.set_exception(error)


def _close_unused(future: Future[httpcore2.NetworkStream]) -> None:
    if future.exception() is None:
        future.result().close()
