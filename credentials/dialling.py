"""HTTP towards addresses that users name: checked, dialled as checked, bounded in time and size.

The name is looked up once, every address it stands for is checked (``credentials.addresses``), and a checked
address is what gets dialled: an answer that changes in between changes nothing. Redirects are not followed.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from dataclasses import dataclass
from functools import cache
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import httpcore2
from django.conf import settings

from credentials import addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

CONNECT_SECONDS = 5.0
MAX_ANSWER = 4 * 1024 * 1024
EVENT_STREAM = "text/event-stream"
FAILURES = (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError, ssl.SSLError, OSError)


class Unreachable(Exception):
    """No HTTP answer: the name, the connection, TLS or the time failed. The text is fit for a log."""


class AddressRefused(Exception):
    """The host stands for an address that this installation doesn't dial."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer. ``body`` ends after the most bytes that were wanted; then ``cut`` is true."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")


class Line:
    """One connection's worth of requests to one server, all of them within ``seconds``. A context manager."""

    def __init__(self, seconds: float) -> None:
        backend = _Dialler(time.monotonic() + seconds)
        self._pool = httpcore2.ConnectionPool(ssl_context=trust(), max_connections=1, network_backend=backend)

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *problem: object) -> None:
        self._pool.close()

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        enough: Callable[[bytes], bool] | None = None,
        most: int = MAX_ANSWER,
    ) -> Reply:
        """The answer, read to its end or its ``most`` bytes; a stream of events, which may stay open, until ``enough``.

        Raises ``Unreachable`` or ``AddressRefused``.
        """
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        try:
            with self._pool.stream(method, url, headers=sent, content=body) as response:
                found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
                # An answer that ends by itself is read to its end: then the connection serves the next request.
                endless = found.get("content-type", "").startswith(EVENT_STREAM)
                content, cut = _read(response.iter_stream(), enough if endless else None, most)
                return Reply(response.status, found, content, cut)
        except FAILURES as error:
            raise Unreachable(lost(error)) from None


def lost(error: Exception) -> str:
    """Why no answer came, in words that name no secret."""
    if isinstance(error, httpcore2.TimeoutException | TimeoutError):
        return "it did not answer in time"
    if isinstance(error, httpcore2.ConnectError):
        return "the connection was refused or failed"
    return "the connection broke"


def _read(chunks: Iterable[bytes], enough: Callable[[bytes], bool] | None, most: int) -> tuple[bytes, bool]:
    content = b""
    for chunk in chunks:
        content += chunk
        if len(content) > most:
            return content[:most], True
        if enough is not None and enough(content):
            break
    return content, False


@cache
def trust() -> ssl.SSLContext:
    return ssl.create_default_context()


class _Dialler(httpcore2.NetworkBackend):
    def __init__(self, deadline: float) -> None:
        self._inner = httpcore2.SyncBackend()
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        found = resolve(host, port, min(CONNECT_SECONDS, _left(self._deadline)))
        problem: Exception = Unreachable("no address")
        for address in found:
            seconds = min(CONNECT_SECONDS, _left(self._deadline))
            try:
                stream = self._inner.connect_tcp(address, port, seconds, local_address, socket_options)
                return _Stream(stream, self._deadline)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                problem = error
        raise problem

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.NetworkStream:
        raise Unreachable("not a network address")

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(min(seconds, _left(self._deadline)))


class _Stream(httpcore2.NetworkStream):
    """No wait outlasts the deadline, however slowly the bytes trickle in."""

    def __init__(self, inner: httpcore2.NetworkStream, deadline: float) -> None:
        self._inner, self._deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(self._deadline))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        stream = self._inner.start_tls(ssl_context, server_hostname, _left(self._deadline))
        return _Stream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("the time is up")
    return left


def resolve(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a host, every one checked. Raises ``AddressRefused`` if any of them may not be dialled."""
    allowed = addresses.networks(settings.HOLDFAST_ALLOWED_NETWORKS)
    found = _look_up(host, port, seconds)
    for address in found:
        if not addresses.permitted(address, allowed):
            raise AddressRefused(host)
    return found


def _look_up(host: str, port: int, seconds: float) -> list[str]:
    """In a thread of its own, because the system's resolver takes no time-out."""
    answers: SimpleQueue[list[str] | OSError] = SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except (OSError, UnicodeError) as error:
            answers.put(OSError(str(error)))

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty:
        raise Unreachable("the name was not found in time") from None
    if isinstance(answer, OSError):
        raise Unreachable("the name is unknown")
    return answer
