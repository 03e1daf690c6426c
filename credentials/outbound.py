"""HTTP of asyncio programs towards addresses that users name: checked and dialled as checked.

For clients that bring their own protocol, such as MCP. Answers are bounded where they end by themselves; streams of
events are bounded by whoever reads them. What a bounded exchange needs is in ``credentials.dialling``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpcore2
import httpx2

from credentials.dialling import CONNECT_SECONDS, EVENT_STREAM, AddressRefused, Unreachable, lost, resolve, trust

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

LARGEST_ANSWER = 16 * 1024 * 1024
MOST_CONNECTIONS = 16


class TooLarge(httpx2.StreamError):
    """An answer went past ``LARGEST_ANSWER``."""


class CheckedTransport(httpx2.AsyncBaseTransport):
    """The way out for one ``httpx2.AsyncClient``. Failures are ``httpx2.TransportError`` with a text fit for a log.

    Compressed answers are refused, because their size says nothing: send ``accept-encoding: identity``.
    """

    def __init__(self) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=trust(), max_connections=MOST_CONNECTIONS, network_backend=_Dialler()
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request. Raises ``httpx2.TransportError``."""
        url = request.url
        target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        sent = httpcore2.Request(
            request.method, target, headers=request.headers.raw, content=request.stream, extensions=request.extensions
        )
        try:
            response = await self._pool.handle_async_request(sent)
        except FAILURES as error:
            raise httpx2.TransportError(explained(error)) from None
        headers = httpx2.Headers(response.headers)
        if headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise httpx2.TransportError("the answer is compressed, which was not asked for")
        bounded = not headers.get("content-type", "").lower().startswith(EVENT_STREAM)
        return httpx2.Response(response.status, headers=response.headers, stream=_Stream(response, bounded=bounded))

    async def aclose(self) -> None:
        await self._pool.aclose()


FAILURES = (
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    httpcore2.UnsupportedProtocol,
    AddressRefused,
    Unreachable,
    OSError,
)


def explained(error: Exception) -> str:
    """What failed, in words that name no secret."""
    if isinstance(error, AddressRefused):
        return "its host stands for an address that is not public; the operator can permit it with ALLOW_NETWORKS"
    if isinstance(error, Unreachable):
        return str(error)
    return lost(error)


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, response: httpcore2.Response, *, bounded: bool) -> None:
        self._response, self._bounded = response, bounded

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        try:
            async for part in self._response.aiter_stream():
                size += len(part)
                if self._bounded and size > LARGEST_ANSWER:
                    raise TooLarge(f"the answer is larger than {LARGEST_ANSWER // 1024 // 1024} MiB")
                yield part
        except FAILURES as error:
            raise httpx2.TransportError(explained(error)) from None

    async def aclose(self) -> None:
        await self._response.aclose()


class _Dialler(httpcore2.AsyncNetworkBackend):
    """Looks a name up once, checks every address it stands for, and dials one of those."""

    def __init__(self) -> None:
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        seconds = min(timeout or CONNECT_SECONDS, CONNECT_SECONDS)
        problem: Exception = Unreachable("the name has no address")
        for address in await asyncio.to_thread(resolve, host, port, seconds):
            try:
                return await self._inner.connect_tcp(address, port, seconds, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                problem = error
        raise problem

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise Unreachable("not a network address")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
