"""A session's events as an endless iterator: everything after a place in the log, no gap, no duplicate.

The one way in for every live reader: server-sent events, websockets, tests. It reads the log up to
where the hub stands and takes what the hub hands out from there on (spec core 14).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakSet

from sessions import events, hub, reading
from sessions.frames import ENDINGS, PING, Frame

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from types import TracebackType

    from sessions.feeds import Reader
    from sessions.frames import Row

PING_SECONDS = 15.0
UNREAD_SECONDS = 60.0  # an opened stream nobody reads: its client left before the first byte
PREVIEWED = frozenset({events.AGENT_MESSAGE, events.AGENT_THINKING})

_open_streams: dict[str, WeakSet[Stream]] = {}


async def subscribe(
    session_id: str,
    after: int | None = None,
    *,
    thread_id: str | None = None,
    deltas: frozenset[str] = frozenset(),
    types: frozenset[str] | None = None,
    ops: bool = False,
    midway: bool = False,
    owner: str = "",
) -> Stream:
    """Open a stream; when this returns, nothing appended from now on can be missed.

    ``after`` is the ``seq`` the caller has seen, None for "only what comes now". With a
    ``thread_id`` it is that thread's own view, else the session's. ``deltas`` names the event types
    to preview while they are written; ``types`` narrows the events. Operator events (``ops.*``) come
    only if ``types`` names them or, without ``types``, with ``ops``. A stream opened while a model
    request is on its way shows no text of that request (spec core 14.3), unless it may join ``midway``:
    then it shows texts that it sees from their start.
    ``owner`` is who it counts for in ``open_count``.

    Raises ``NotFound``. Close the stream with ``aclose()`` or ``async with``.
    """
    reader = await hub.current().join(session_id)
    queued_after = reader.feed.cursor
    try:
        standing = await reading.standing(session_id)
    except BaseException:
        reader.leave()
        raise
    start = standing.last_seq if after is None else min(max(after, 0), standing.last_seq)
    view = _View(thread_id, types, ops=ops)
    previews = _Previews(thread_id or standing.primary, deltas, standing, midway=midway)
    over = standing.status == "terminated" or thread_id in standing.over
    stream = Stream(reader, session_id, (start, queued_after), view, previews, over=over, owner=owner)
    _open_streams.setdefault(owner, WeakSet()).add(stream)
    return stream


def open_count(owner: str) -> int:
    """How many streams ``owner`` has open in this process."""
    return len(_open_streams.get(owner, ()))


class Stream:
    """An open stream: iterate it for frames. It ends after ``session.deleted`` and after the end of
    the session or thread it shows.
    """

    def __init__(
        self,
        reader: Reader,
        session_id: str,
        span: tuple[int, int],
        view: _View,
        previews: _Previews,
        *,
        over: bool,
        owner: str,
    ) -> None:
        self.session_id = session_id
        self._owner = owner
        self.seq, self._queued_after = span
        self._reader = reader
        self._view = view
        self._previews = previews
        self._over = over
        self._frames = self._run()
        self._unread = asyncio.get_running_loop().call_later(UNREAD_SECONDS, self._leave)

    def __aiter__(self) -> AsyncIterator[Frame]:
        return self._frames

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop reading and let go of the hub."""
        self._leave()
        await self._frames.aclose()

    def _leave(self) -> None:
        self._unread.cancel()
        mine = _open_streams.get(self._owner, WeakSet())
        mine.discard(self)
        if not mine:
            _open_streams.pop(self._owner, None)
        self._reader.leave()

    async def _run(self) -> AsyncGenerator[Frame, None]:
        self._unread.cancel()
        loop = asyncio.get_running_loop()
        ping_at = loop.time() + PING_SECONDS
        try:
            async for frame in self._shown():
                if frame is not None:
                    yield frame
                elif loop.time() >= ping_at:
                    yield PING
                else:
                    await self._woken(ping_at)
                    continue
                ping_at = loop.time() + PING_SECONDS
        finally:
            self._leave()

    async def _shown(self) -> AsyncGenerator[Frame | None, None]:
        """What there is to show, in order; None whenever there is nothing more for now."""
        async for frame in self._catch_up(self._queued_after):
            yield frame
        while not self._over:
            if self._reader.queue:
                item = self._reader.queue.popleft()
                for frame in self._show(item):
                    yield frame
                if isinstance(item, Frame) and item.kind == "deleted":
                    return
            elif self._reader.overrun:
                self._previews.cut()
                async for frame in self._catch_up(self._reader.rejoin()):
                    yield frame
            else:
                yield None

    async def _woken(self, until: float) -> None:
        """Wait for something to look at, or for ``until`` on the loop's clock."""
        woken = self._reader.woken
        if self._reader.queue:
            return
        woken.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await woken.wait()

    async def _catch_up(self, target: int) -> AsyncIterator[Frame]:
        """Read the log up to ``target``, where the hub's queue takes over."""
        place = self.seq
        while place < target:
            # No further than that, or rows would overtake text that waits in the queue.
            rows = await reading.rows(self.session_id, place, self._view.thread_id, limit=target - place)
            if not rows:
                return
            place = rows[-1].seq
            for row in rows:
                for frame in self._show(row):
                    yield frame

    def _show(self, item: Row | Frame) -> list[Frame]:
        if isinstance(item, Frame):
            return [item] if item.kind == "deleted" or self._previews.allow(item) else []
        if item.seq <= self.seq:
            return []
        self.seq = item.seq
        self._previews.note(item)
        self._over = self._over or self._ends(item)
        shown = [self._view.as_seen(frame) for frame in item.frames if self._view.shows(frame)]
        return [*(frame.without_seq() for frame in shown[:-1]), *shown[-1:]]

    def _ends(self, row: Row) -> bool:
        frame = row.frames[-1]
        if self._view.thread_id is None:
            return frame.type == events.STATUS_TERMINATED
        return frame.type in ENDINGS and frame.thread_id == self._view.thread_id


class _View:
    """Which events of a session a stream shows."""

    def __init__(self, thread_id: str | None, types: frozenset[str] | None, *, ops: bool) -> None:
        self.thread_id = thread_id
        self._types = types
        self._ops = ops

    def shows(self, frame: Frame) -> bool:
        mine = frame.on_session if self.thread_id is None else frame.thread_id == self.thread_id
        if not mine:
            return False
        return frame.type in self._types if self._types is not None else self._ops or not events.is_ops(frame.type)

    def as_seen(self, frame: Frame) -> Frame:
        return frame if self.thread_id is None else frame.own


class _Previews:
    """Which unfinished text a stream shows (spec core 14.3): start first, then every piece or none
    after a hole, nothing of a request that had begun before the stream was opened.
    """

    def __init__(
        self, thread_id: str, wanted: frozenset[str], standing: reading.Standing, *, midway: bool = False
    ) -> None:
        self._thread_id = thread_id
        self._wanted = wanted
        self._opened_at = standing.last_seq
        self._muted = not midway and thread_id in standing.open_requests
        self._next: dict[str, int] = {}

    def note(self, row: Row) -> None:
        """Learn from the log: a request began, ended, or an event got its final form."""
        frame = row.frames[-1]
        if frame.thread_id != self._thread_id or not self._wanted:
            return
        if row.type in reading.SPANS:
            self.cut()
            if row.seq > self._opened_at:
                self._muted = False
        elif frame.event is not None:
            self._next.pop(frame.event.id, None)

    def cut(self) -> None:
        """Show no more of the texts that are being written."""
        self._next.clear()

    def allow(self, frame: Frame) -> bool:
        if self._muted or not self._wanted or frame.thread_id != self._thread_id:
            return False
        if frame.type == "event_start":
            return self._start(frame)
        event_id = frame.data["event_id"]
        if self._next.get(event_id) != frame.number:
            self._next.pop(event_id, None)
            return False
        self._next[event_id] = frame.number + 1
        return True

    def _start(self, frame: Frame) -> bool:
        event = frame.data["event"]
        if event["type"] not in self._wanted or frame.number != 0:
            return False
        if event["type"] == events.AGENT_MESSAGE:
            self._next[event["id"]] = 1
        return True
