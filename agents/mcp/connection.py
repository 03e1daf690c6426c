"""One connection to an MCP server, alive in a task of its own on the shared loop."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
from mcp.client import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    HEADER_MISMATCH,
    PARSE_ERROR,
    REQUEST_TIMEOUT,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
    InputRequiredResult,
    ToolListChangedNotification,
)
from pydantic import TypeAdapter, ValidationError

from agents.mcp import listing
from agents.mcp.base import (
    CONNECT_SECONDS,
    LARGEST_EVENT,
    LIST_SECONDS,
    NotAuthorised,
    ServerFailed,
    SessionOver,
    ToolRefused,
    masked,
)
from agents.mcp.watching import Seen, Watching, of_this_call

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from agents.mcp.base import Access, Listing

T = TypeVar("T")

logger = logging.getLogger(__name__)

US = Implementation(name="holdfast", version="1")
GOODBYE_SECONDS = 5.0
QUIET_SECONDS = 300.0  # how long a stream may say nothing
ANSWER: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(CallToolResult | InputRequiredResult)
NOT_STREAMABLE = frozenset({400, 404, 405, 406, 410, 415})  # answers of servers that only know the older transport
WANTS_INPUT = (
    "The tool asked for input in the middle of its call (elicitation or sampling), which agents can't give here. "
    "It did not finish."
)


class Connection:
    """A client of one server for one session. All methods belong to the loop; ``busy`` counts who waits for it."""

    def __init__(self, access: Access, on_change: Callable[[], None]) -> None:
        self._access, self._on_change = access, on_change
        self._seen = Seen()
        self._client: Client | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._enough = asyncio.Event()
        self._task = asyncio.create_task(self._live())
        self.busy = 0
        self.used_at = time.monotonic()

    @property
    def is_alive(self) -> bool:
        """True until the connection ended or failed."""
        return not self._task.done() and not self._enough.is_set()

    async def ready(self) -> None:
        """Wait until the server answered. Raises ``ServerFailed``."""
        self.busy += 1  # whoever makes room for others doesn't close what is waited for
        try:
            await asyncio.wait_for(asyncio.shield(self._ready), CONNECT_SECONDS)
        except TimeoutError:
            self.close()
            raise ServerFailed(f"it did not answer within {CONNECT_SECONDS:.0f} s") from None
        finally:
            self.busy -= 1

    def close(self) -> None:
        """End the connection soon; calls under way fail."""
        self._enough.set()
        if self._client is None:
            self._task.cancel()
        else:  # the goodbye may take a moment, but no more
            asyncio.get_running_loop().call_later(GOODBYE_SECONDS, self._task.cancel)

    async def closed(self) -> None:
        """Wait until the connection is gone."""
        await asyncio.wait([self._task], timeout=2 * GOODBYE_SECONDS)

    async def _live(self) -> None:
        try:
            try:
                await self._speak(sse=False)
            except Exception as error:
                if self._client is not None or self._seen.status not in NOT_STREAMABLE:
                    raise
                logger.debug("No streamable HTTP at %s (%s); trying SSE.", self._access.server, self._why(error))
                self._seen = Seen()
                await self._speak(sse=True)
        except Exception as error:  # boundary: the library raises whatever happened inside of it
            if self._ready.done():
                logger.info("The connection to the MCP server %s ended: %s", self._access.server, self._why(error))
            else:
                self._ready.set_exception(self._failure(error))
                self._ready.exception()  # nobody may be waiting any more
        finally:
            if not self._ready.done():
                self._ready.set_exception(ServerFailed("the connection was closed"))
                self._ready.exception()

    async def _speak(self, *, sse: bool) -> None:
        async with AsyncExitStack() as stack:
            if sse:
                transport = sse_client(
                    self._access.url, sse_read_timeout=QUIET_SECONDS, httpx_client_factory=self._sse_http
                )
            else:
                http = await stack.enter_async_context(self._http(Watching(self._access.transport(), self._seen)))
                transport = streamable_http_client(self._access.url, http_client=http, max_sse_event_size=LARGEST_EVENT)
            client = Client(
                transport,
                mode="legacy" if sse else "auto",
                client_info=US,
                cache=None,
                read_timeout_seconds=CONNECT_SECONDS,
                message_handler=self._hear,
            )
            self._client = await stack.enter_async_context(client)
            self._ready.set_result(None)
            await self._enough.wait()

    def _http(self, transport: Watching, timeout: httpx2.Timeout | None = None) -> httpx2.AsyncClient:
        headers = {"accept-encoding": "identity", "user-agent": "holdfast"}
        if self._access.token:
            headers["authorization"] = f"Bearer {self._access.token.reveal()}"
        return httpx2.AsyncClient(
            transport=transport,
            headers=headers,
            timeout=timeout or httpx2.Timeout(CONNECT_SECONDS, read=QUIET_SECONDS),
            trust_env=False,
        )

    def _sse_http(
        self,
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        return self._http(Watching(self._access.transport(), self._seen, gets=True), timeout)

    async def _hear(self, message: object) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._on_change()

    async def tools(self) -> Listing:
        """The server's tools. Raises ``ServerFailed``."""
        client = self._connected()
        return await self._watched(listing.read(client, self._access.server, self._access.mask), LIST_SECONDS)

    async def call(self, name: str, arguments: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Call a tool; its result in wire form. Raises ``ServerFailed``."""
        try:
            return await self._call(name, arguments, seconds)
        except _Mismatch:  # the server wants headers that only its listing tells; it has run nothing
            await self.tools()
            return await self._call(name, arguments, seconds)

    async def _call(self, name: str, arguments: dict[str, Any], seconds: float) -> dict[str, Any]:
        request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=arguments))
        session = self._connected().session
        sending = session.send_request(request, ANSWER, request_read_timeout_seconds=seconds)
        answer = await self._watched(sending, seconds)
        if isinstance(answer, InputRequiredResult):
            return {"content": [{"type": "text", "text": WANTS_INPUT}], "isError": True}
        said: dict[str, Any] = masked(
            answer.model_dump(mode="json", by_alias=True, exclude_none=True), self._access.mask
        )
        return said

    def _connected(self) -> Client:
        if self._client is None or not self.is_alive:
            raise ServerFailed("the connection is closed")
        return self._client

    async def _watched(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """The outcome of one request, or why there is none: time, the connection's end, a refusal."""
        seen = Seen()
        token = of_this_call.set(seen)
        doing = asyncio.ensure_future(work)
        doing.add_done_callback(_take_note)
        of_this_call.reset(token)
        self.busy += 1
        try:
            await asyncio.wait({doing, self._task}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                return doing.result()
            if self._task.done():
                raise ServerFailed(f"the connection broke: {seen.trouble or self._seen.words}", sent=True)
            raise ServerFailed(f"it did not answer within {seconds:.0f} s", sent=True)
        except MCPError as error:
            raise self._explained(error, seen) from None
        except ValidationError:
            raise ServerFailed("its answer is not what the protocol says", sent=True) from None
        finally:
            self.busy -= 1
            self.used_at = time.monotonic()
            doing.cancel()

    def _explained(self, error: MCPError, seen: Seen) -> Exception:
        said = self._access.mask(error.message)
        if seen.status in (401, 403):
            self.close()
            return _not_authorised(seen.status)
        if seen.status == 404:
            self.close()
            return SessionOver("it has ended this connection")
        if error.code == HEADER_MISMATCH:
            return _Mismatch(said)
        if error.code == REQUEST_TIMEOUT:
            return ServerFailed("it did not answer in time", sent=True)
        if seen.status >= 500 or seen.trouble or error.code == CONNECTION_CLOSED:
            return ServerFailed(seen.words, sent=True)
        if error.code == PARSE_ERROR:
            return ServerFailed(f"its answer can't be used: {said[:500]}", sent=True)
        return ToolRefused(said[:10_000])

    def _failure(self, error: Exception) -> ServerFailed:
        """Why there is no connection."""
        if self._seen.status in (401, 403):
            return _not_authorised(self._seen.status)
        if self._seen.status or self._seen.trouble:
            return ServerFailed(self._seen.words)
        return ServerFailed(self._why(error))

    def _why(self, error: BaseException) -> str:
        """The innermost reason of a library's error, cut short."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, ValidationError):
            return "its answer is not what the protocol says"
        text = str(error) if isinstance(error, (MCPError, httpx2.HTTPError)) else ""
        return self._access.mask(text)[:500] or type(error).__name__


def _take_note(doing: asyncio.Future[Any]) -> None:
    """Look at the outcome that nobody waits for any more, so that it isn't reported as forgotten."""
    if not doing.cancelled():
        doing.exception()


class _Mismatch(ServerFailed):
    pass


def _not_authorised(status: int) -> NotAuthorised:
    return NotAuthorised(f"it answered with HTTP {status}: it wants a credential, or another one")
