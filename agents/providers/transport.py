"""The HTTP client under the SDK: a bounded pool whose every wait can be interrupted.

The socket is read in the caller's own thread, in short slices or watched together with what wakes
the turn, so a stalled stream costs no helper thread. Only DNS, connect and the TLS handshake, which
cannot be sliced, run aside.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING, Any

import httpcore2
import httpx2

from agents.providers import interrupt
from agents.providers.stacked import StackedPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agents.providers.base import Waking

LONGEST_WAIT = 5.0  # seconds between two looks at a turn's own limit


class PolledStream(httpcore2.NetworkStream):
    """A network stream that asks the thread's scope before and while it waits for bytes."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner
        self._socket = _audible(inner)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        scope = interrupt.current()
        if scope is None:
            return self._inner.read(max_bytes, timeout)
        limit = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            scope.check()
            left = max(limit - time.monotonic(), 0.001)
            if self._socket is not None and scope.waking is not None and left > interrupt.SLICE:
                if not _heard(self._socket, scope.waking, min(left - interrupt.SLICE, LONGEST_WAIT)):
                    continue
                left = max(limit - time.monotonic(), 0.001)
            try:
                data = self._inner.read(max_bytes, min(interrupt.SLICE, left))
            except httpcore2.ReadTimeout:
                if time.monotonic() >= limit:
                    raise
                continue
            scope.count(len(data))
            return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        interrupt.poll()
        self._inner.write(buffer, timeout)

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


def _audible(stream: httpcore2.NetworkStream) -> socket.socket | None:
    """The socket to be waited for, unless bytes may wait unseen by it, in a layer above."""
    sock, tls = stream.get_extra_info("socket"), stream.get_extra_info("ssl_object")
    return sock if isinstance(sock, socket.socket) and (tls is None or isinstance(sock, ssl.SSLSocket)) else None


def _heard(sock: socket.socket, waking: Waking, seconds: float) -> bool:
    """Wait until there is something to read, the scope is woken, or the time is over: whether the first."""
    if isinstance(sock, ssl.SSLSocket) and sock.pending():
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    poll.register(waking, select.POLLIN)
    ready = [descriptor for descriptor, _ in poll.poll(seconds * 1000)]
    if waking.fileno() in ready:
        waking.silence()
    return sock.fileno() in ready


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
    pool = getattr(transport, "_pool", None)
    backend = getattr(pool, "_network_backend", None)
    if not isinstance(backend, httpcore2.NetworkBackend):
        raise RuntimeError("httpx2 changed: its connection pool has no network backend to wrap")
    pool._network_backend = PolledBackend(backend)  # type: ignore[union-attr]
    transport._pool = StackedPool(pool.create_connection, most)  # type: ignore[attr-defined,union-attr]


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
