"""Connections and listings of this process, both bounded: the door through which the loop's threads come in.

Everything but the synchronous methods at the end runs on the shared loop, so there is nothing to lock.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from functools import cache
from typing import TYPE_CHECKING, Any

from agents.mcp import loop as loops
from agents.mcp.base import Listing, ServerFailed, SessionOver
from agents.mcp.connection import Connection

if TYPE_CHECKING:
    from concurrent.futures import Future

    from agents.mcp.base import Access

MOST_CONNECTIONS = 200
GOODBYE_SECONDS = 5.0
IDLE_SECONDS = 300.0
LOOK_SECONDS = 30.0
FRESH_SECONDS = 300.0  # how long a listing is believed without asking
CACHED_CHARACTERS = 32_000_000  # of all listings together


class Pool:
    """Keeps connections between the steps of a session and listings between sessions."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._connections: OrderedDict[str, Connection] = OrderedDict()
        self._listings: OrderedDict[str, tuple[float, Listing]] = OrderedDict()
        self._forgotten = 0  # how often an old listing was; a listing that was read meanwhile may be older
        self._sweeping: asyncio.Task[None] | None = None

    async def _connection(self, access: Access) -> Connection:
        """A live connection, opened if need be. Raises ``ServerFailed``."""
        key = access.connection_key
        found = self._connections.get(key)
        if found is None or not found.is_alive:
            self._make_room()
            found = self._connections[key] = Connection(access, lambda: self._forget(access))
            self._sweeping = self._sweeping or self._loop.create_task(self._sweep())
        self._connections.move_to_end(key)
        try:
            await found.ready()
        except ServerFailed:
            self._forget(access)
            raise
        return found

    def _make_room(self) -> None:
        while len(self._connections) >= MOST_CONNECTIONS:
            idle = (key for key, found in self._connections.items() if not found.busy)
            key = next(idle, None)
            if key is None:
                raise ServerFailed(f"this worker has {MOST_CONNECTIONS} busy connections already; try again later")
            self._connections.pop(key).close()

    def _forget(self, access: Access) -> None:
        """Believe an old listing no longer."""
        self._forgotten += 1
        self._listings.pop(access.listing_key, None)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            old = time.monotonic() - IDLE_SECONDS
            for key, found in list(self._connections.items()):
                if not found.is_alive or (not found.busy and found.used_at < old):
                    del self._connections[key]
                    found.close()

    async def _tools(self, access: Access) -> Listing:
        at, listing = self._listings.get(access.listing_key, (0.0, None))
        if listing is not None and time.monotonic() - at < FRESH_SECONDS:
            self._listings.move_to_end(access.listing_key)
            return listing
        connection = await self._connection(access)
        before = self._forgotten
        try:
            listing = await connection.tools()
        except SessionOver:
            listing = await (await self._connection(access)).tools()
        if self._forgotten != before:
            return listing  # the server may have said in the middle of it that its tools are others now
        self._listings[access.listing_key] = (time.monotonic(), listing)
        while sum(kept.size for _, kept in self._listings.values()) > CACHED_CHARACTERS:
            self._listings.popitem(last=False)
        return listing

    async def _call(self, access: Access, name: str, arguments: dict[str, Any], seconds: float) -> dict[str, Any]:
        connection = await self._connection(access)
        try:
            return await connection.call(name, arguments, seconds)
        except SessionOver:
            return await (await self._connection(access)).call(name, arguments, seconds)
        except ServerFailed:
            self._forget(access)
            raise

    async def _close(self) -> None:
        found, self._connections = list(self._connections.values()), OrderedDict()
        for connection in found:
            connection.close()
        await asyncio.gather(*(connection.closed() for connection in found))

    def tools(self, access: Access) -> Future[Listing]:
        """The tools of a server, perhaps as they were ``FRESH_SECONDS`` ago. The future raises ``ServerFailed``."""
        return asyncio.run_coroutine_threadsafe(self._tools(access), self._loop)

    def call(self, access: Access, name: str, arguments: dict[str, Any], seconds: float) -> Future[dict[str, Any]]:
        """Call a tool once; its result in wire form. The future raises ``ServerFailed`` or ``ToolRefused``."""
        return asyncio.run_coroutine_threadsafe(self._call(access, name, arguments, seconds), self._loop)

    def close(self) -> None:
        """End all connections and say goodbye to their servers, those that take ``GOODBYE_SECONDS`` at most."""
        closing = asyncio.run_coroutine_threadsafe(self._close(), self._loop)
        try:
            closing.result(GOODBYE_SECONDS)
        except TimeoutError:
            closing.cancel()


@cache
def pool() -> Pool:
    """The pool of this process."""
    return Pool(loops.shared())


def close() -> None:
    """This process ends: what connections it has are ended, so that servers need not keep its sessions."""
    if pool.cache_info().currsize:
        pool().close()
