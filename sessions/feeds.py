"""One session's new rows, read from the log once for all the readers of this process."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sessions import events, reading
from sessions.frames import Frame, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

INBOX_FRAMES = 2048
QUEUED_ROWS = 512


@dataclass(eq=False, slots=True)
class Reader:
    """One subscriber of a feed. ``queue`` is bounded: when it is full it is emptied and ``overrun``
    says that the reader must catch up from the log by itself, from where it is.
    """

    feed: Feed
    queue: deque[Row | Frame] = field(default_factory=deque)
    overrun: bool = False
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, item: Row | Frame) -> None:
        if len(self.queue) >= QUEUED_ROWS:
            self.queue.clear()
            self.overrun = True
        if not self.overrun or (isinstance(item, Frame) and item.kind == "deleted"):
            self.queue.append(item)
        self.woken.set()

    def rejoin(self) -> int:
        """Stop being overrun: rows after the number returned arrive in ``queue`` again."""
        self.overrun = False
        return self.feed.cursor

    def leave(self) -> None:
        """No more rows. Called twice it does nothing."""
        self.feed.leave(self)


class Feed:
    """The rows of one session as they come.

    ``cursor`` is the last ``seq`` handed out. Nudges and unfinished text go through one inbox, in
    the order they came, so that text never overtakes the row that announces it. ``on_unused`` is
    called when the last reader has left.
    """

    def __init__(self, session_id: str, on_unused: Callable[[Feed], None]) -> None:
        self.session_id = session_id
        self.cursor = 0
        self.readers: set[Reader] = set()
        self._joining = 0
        self._on_unused = on_unused
        self._open_requests: set[str] = set()
        self._inbox: deque[int | Frame] = deque()
        self._wake = asyncio.Event()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name=f"feed {session_id}")

    @property
    def ready(self) -> bool:
        """True once the feed knows where it stands."""
        return self._ready.done() and not self._ready.exception()

    def nudge(self, seq: int) -> None:
        """Look: the log reaches ``seq`` now."""
        if self._inbox and isinstance(self._inbox[-1], int):
            self._inbox[-1] = max(seq, self._inbox[-1])
        else:
            self._inbox.append(seq)
        self._wake.set()

    def add(self, frame: Frame) -> None:
        """Unfinished text, or the end. Text is shed when the inbox is full; readers see the hole."""
        if len(self._inbox) < INBOX_FRAMES or frame.kind != "delta":
            self._inbox.append(frame)
            self._wake.set()

    async def join(self) -> Reader:
        """A reader of every row after ``cursor``. Raises ``NotFound`` for a session that isn't there."""
        with self._held():
            await asyncio.shield(self._ready)
            reader = Reader(self)
            self.readers.add(reader)
            return reader

    def leave(self, reader: Reader) -> None:
        self.readers.discard(reader)
        self._check_use()

    async def stop(self) -> None:
        """End the feed's task."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @contextmanager
    def _held(self) -> Iterator[None]:
        self._joining += 1
        try:
            yield
        finally:
            self._joining -= 1
            self._check_use()

    def _check_use(self) -> None:
        if not self.readers and not self._joining:
            self._on_unused(self)

    async def _run(self) -> None:
        try:
            standing = await reading.standing(self.session_id)
        except Exception as error:
            self._ready.set_exception(error)
            self._ready.exception()  # seen, even if whoever waited has left
            return
        self.cursor = standing.last_seq
        self._open_requests = set(standing.open_requests)
        self._ready.set_result(None)
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._inbox:
                await self._take(self._inbox.popleft())

    async def _take(self, item: int | Frame) -> None:
        if isinstance(item, Frame):
            if item.kind != "delta" or item.thread_id in self._open_requests:
                self._hand_out(item)
            return
        while item > self.cursor:
            try:
                # No further than the nudge says: text published before the next row comes first.
                rows = await reading.rows(self.session_id, self.cursor, limit=item - self.cursor)
            except Exception:
                log.exception("The log of session %s could not be read; trying again shortly.", self.session_id)
                return
            if not rows:
                return
            for row in rows:
                self._note(row)
                self._hand_out(row)
            self.cursor = rows[-1].seq

    def _note(self, row: Row) -> None:
        if row.type == events.MODEL_START:
            self._open_requests.add(row.frames[-1].thread_id)
        elif row.type == events.MODEL_END:
            self._open_requests.discard(row.frames[-1].thread_id)

    def _hand_out(self, item: Row | Frame) -> None:
        for reader in self.readers:
            reader.put(item)
