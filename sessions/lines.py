"""Connections to the live channel's server, over which a process publishes: kept from one message to the next.

redis-py's own pool looks at the socket and at its health each time a connection is taken, which costs more than
publishing does. Making a connection, and what travels over it, stay redis-py's.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Heard = Callable[[int], None]

TIMEOUT_SECONDS = 0.5
CONNECTIONS = 32  # that wait for an answer at a time
LINES = 8  # over which is published without waiting
UNREAD = 16  # answers that may wait on a line: to read them one by one costs as much again as to publish


class Lines:
    """One server's connections in this process, made when they are wanted. Thread-safe.

    Whatever is published may raise ``redis.RedisError`` or ``OSError``; over a kept connection that has ended
    meanwhile it is published again, over a new one.
    """

    def __init__(self, url: str) -> None:
        wanted: dict[str, Any] = {"socket_timeout": TIMEOUT_SECONDS, "socket_connect_timeout": TIMEOUT_SECONDS}
        # It reads the address. It makes none of the connections: it counts those it made as if none had ended, and
        # after a hundred it makes no more.
        self._like = redis.ConnectionPool.from_url(url, **wanted, retry=Retry(NoBackoff(), 0))
        self._lines = [_Line(self._made) for _ in range(LINES)]
        self._idle: deque[_Kept] = deque()
        self._asking = threading.BoundedSemaphore(CONNECTIONS)

    def of(self, session_id: str) -> _Line:
        """Where all that concerns a session is said, so that it arrives in order."""
        return self._lines[hash(session_id) % LINES]

    def ask(self, channel: str, text: str) -> int:
        """Publish and wait: how many servers got it."""
        if not self._asking.acquire(timeout=TIMEOUT_SECONDS):
            raise redis.ConnectionError("Too many wait for the live channel's server.")
        try:
            while (kept := self._taken()) is not None:
                try:
                    return self._answer(kept, channel, text)
                except redis.ConnectionError:
                    continue  # it ended while it was not used; the others may have, too
            return self._answer(self._made(), channel, text)
        finally:
            self._asking.release()

    def _made(self) -> _Kept:
        return _Kept(self._like.connection_class(**self._like.connection_kwargs))

    def _taken(self) -> _Kept | None:
        try:
            kept = self._idle.pop()
        except IndexError:
            return None
        return kept if kept.is_ours() else None

    def _answer(self, kept: _Kept, channel: str, text: str) -> int:
        try:
            kept.send(channel, text)
            answer = int(kept.connection.read_response())
        except BaseException:
            kept.connection.disconnect()
            raise
        self._idle.append(kept)
        return answer


class _Line:
    """A connection over which is published without waiting, one message after the other."""

    def __init__(self, made: Callable[[], _Kept]) -> None:
        self._made = made
        self._lock = threading.Lock()
        self._kept: _Kept | None = None
        self._unread: deque[Heard | None] = deque()

    def say(self, channel: str, text: str, heard: Heard | None = None) -> None:
        """Publish: the answer is read by ``settle``, or when many wait, and how many servers got it is told to
        ``heard``, which must not publish itself.
        """
        with self._alone():
            kept = self._kept if self._kept is not None and self._kept.is_ours() else None
            self._kept = None
            if kept is not None and self._was_said(kept, channel, text, heard):
                return
            self._unread.clear()
            if not self._was_said(self._made(), channel, text, heard):
                raise redis.ConnectionError("The connection ended at once.")

    def settle(self) -> None:
        """Wait for the answers to all that was said."""
        with self._alone():
            if self._kept is not None and self._kept.is_ours():
                try:
                    self._read_answers(self._kept)
                except BaseException:
                    self._kept.connection.disconnect()
                    self._kept = None
                    raise

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=TIMEOUT_SECONDS):
            raise redis.ConnectionError("Others wait for the live channel's server.")
        try:
            yield
        finally:
            self._lock.release()

    def _was_said(self, kept: _Kept, channel: str, text: str, heard: Heard | None) -> bool:
        """False if the connection has ended, or the server doesn't answer over it."""
        try:
            if len(self._unread) >= UNREAD:
                self._read_answers(kept)
            kept.send(channel, text)
        except (redis.ConnectionError, redis.TimeoutError):
            kept.connection.disconnect()
            return False
        except BaseException:
            kept.connection.disconnect()
            raise
        self._kept = kept
        self._unread.append(heard)
        return True

    def _read_answers(self, kept: _Kept) -> None:
        while self._unread:
            heard = self._unread.popleft()
            answer = int(kept.connection.read_response())
            if heard is not None:
                heard(answer)


class _Kept:
    """A connection, and the process that it is of: after a fork the parent's are the parent's."""

    __slots__ = ("_pid", "connection")

    def __init__(self, connection: Any) -> None:  # a ``redis.Connection``, which is not typed
        self.connection = connection
        self._pid = os.getpid()

    def is_ours(self) -> bool:
        return self._pid == os.getpid()

    def send(self, channel: str, text: str) -> None:
        self.connection.send_packed_command(self.connection.pack_command("PUBLISH", channel, text))
