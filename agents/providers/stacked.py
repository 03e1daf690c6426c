"""The open connections to models' servers: used last in, first out, at a cost that does not grow with their number.

httpcore2's own pool looks at all of its connections, twice for each request: with hundreds of streams under way that
takes longer than sending the request. Making a connection, its states and its protocol stay httpcore2's.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from typing import TYPE_CHECKING

import httpcore2

from agents.providers import interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT_SECONDS = 30.0  # for a connection, of a request that does not say how long
LOOK_SECONDS = 1.0  # between two looks for a connection that rested too long


class StackedPool:
    """Up to ``most`` connections in use at a time. ``make`` opens one to a server, or to a proxy of it. Thread-safe."""

    def __init__(self, make: Callable[[httpcore2.Origin], httpcore2.ConnectionInterface], most: int) -> None:
        self.make, self._most = make, most
        self._idle: dict[tuple[bytes, bytes, int], deque[httpcore2.ConnectionInterface]] = defaultdict(deque)
        self._busy = 0
        self._looked_at = 0.0
        self._closed = False
        self._changed = threading.Condition()

    def handle_request(self, request: httpcore2.Request) -> httpcore2.Response:
        """Send a request; its connection is free again once the response is closed.

        Raises httpcore2's errors: ``PoolTimeout`` if all connections stay in use, ``UnsupportedProtocol``.
        """
        if request.url.scheme not in (b"http", b"https"):
            raise httpcore2.UnsupportedProtocol(f"A model's server is not asked by {request.url.scheme.decode()}.")
        origin = request.url.origin
        self._enter(request.extensions.get("timeout", {}).get("pool"))
        connection = None
        try:
            connection = self._taken(origin) or self.make(origin)
            response = connection.handle_request(request)
        except BaseException:
            self._leave(origin, connection)
            raise
        return httpcore2.Response(
            status=response.status,
            headers=response.headers,
            content=_Body(response, lambda: self._leave(origin, connection)),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they are done."""
        with self._changed:
            self._closed = True
            idle = [connection for stack in self._idle.values() for connection in stack]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def __enter__(self) -> StackedPool:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def _enter(self, seconds: float | None) -> None:
        deadline = time.monotonic() + (WAIT_SECONDS if seconds is None else seconds)
        with self._changed:
            while self._busy >= self._most:
                interrupt.poll()
                left = deadline - time.monotonic()
                if left <= 0:
                    raise httpcore2.PoolTimeout("All connections to models' servers are in use.")
                self._changed.wait(min(left, interrupt.SLICE))
            self._busy += 1

    def _leave(self, origin: httpcore2.Origin, connection: httpcore2.ConnectionInterface | None) -> None:
        """A request is over. Its connection is kept if it can be used again; the oldest of those is looked at, once a
        second: that asks the system.
        """
        oldest, now = None, time.monotonic()
        is_kept = connection is not None and connection.is_available()  # once it lies there, another may take it
        with self._changed:
            is_kept = is_kept and not self._closed
            self._busy -= 1
            self._changed.notify()
            if connection is not None and is_kept:
                stack = self._idle[_key(origin)]
                stack.append(connection)
                if now - self._looked_at >= LOOK_SECONDS:
                    self._looked_at = now
                    oldest = stack.popleft() if stack[0].has_expired() else None
        if oldest is not None:
            oldest.close()
        if connection is not None and not is_kept:
            connection.close()

    def _taken(self, origin: httpcore2.Origin) -> httpcore2.ConnectionInterface | None:
        """The connection used last, unless its server has closed it; None if there is none."""
        while True:
            with self._changed:
                stack = self._idle.get(_key(origin))
                connection = stack.pop() if stack else None
            if connection is None or not connection.has_expired():
                return connection
            connection.close()


def _key(origin: httpcore2.Origin) -> tuple[bytes, bytes, int]:
    return origin.scheme, origin.host, origin.port


class _Body:
    """A response's bytes, which tells once when it is closed."""

    def __init__(self, response: httpcore2.Response, over: Callable[[], None]) -> None:
        self._response, self._over = response, over
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self._response.iter_stream()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._response.close()
        finally:
            self._over()
