"""One hub per server process: it hears that a log grew and wakes the feed of that session.

The hub holds one Redis subscription and, per session that somebody watches, one ``Feed``. A nudge
only says "look": rows always come from the log. Every few seconds the hub also compares its feeds
with the database, so that a lost nudge, or Redis gone, costs time and never an event.

Everything here runs on one event loop; ``current()`` is that loop's hub.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import redis.asyncio as redis
from django.conf import settings
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from sessions import frames, nudges, reading
from sessions.feeds import Feed, Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from redis.asyncio.client import PubSub

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0
RECONNECT_SECONDS = 0.5
FIRST_CONNECT_SECONDS = 1.0
ANNOUNCED_SECONDS = 2.0


class Hub:
    """All feeds of this process, the Redis subscription that wakes them and the poll behind it."""

    def __init__(self) -> None:
        self.feeds: dict[str, Feed] = {}
        self.connected = asyncio.Event()
        self._watchers: set[Callable[[str | None], None]] = set()
        self._pubsub: PubSub | None = None
        self._born = asyncio.get_running_loop().time()
        self._errands: set[asyncio.Task[None]] = set()
        self._tasks = [
            asyncio.create_task(self._listen(), name="hub listen"),
            asyncio.create_task(self._poll(), name="hub poll"),
        ]

    async def join(self, session_id: str) -> Reader:
        """Start reading a session: every row after the reader's ``feed.cursor`` will come.

        Raises ``NotFound`` for a session that isn't there.
        """
        await self._first_connection()
        feed = self.feeds.get(session_id)
        if feed is None:
            feed = self.feeds[session_id] = Feed(session_id, self._forget)
            self._errand(self._hear_text(session_id))
        return await feed.join()

    def watch(self, callback: Callable[[str | None], None]) -> Callable[[], None]:
        """Call back with the id of every session whose log grows; None means any may have.

        Returns the function that ends it.
        """
        self._watchers.add(callback)
        return lambda: self._watchers.discard(callback)

    async def close(self) -> None:
        """End every task of the hub and its connection."""
        feeds, self.feeds = list(self.feeds.values()), {}
        tasks = [*self._tasks, *self._errands]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *(feed.stop() for feed in feeds), return_exceptions=True)
        _hubs.pop(asyncio.get_running_loop(), None)

    async def _first_connection(self) -> None:
        """Give a hub that has just begun a moment to reach Redis, lest the first reader waits for a poll."""
        left = self._born + FIRST_CONNECT_SECONDS - asyncio.get_running_loop().time()
        if left > 0 and not self.connected.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.connected.wait(), left)

    def _forget(self, feed: Feed) -> None:
        if self.feeds.get(feed.session_id) is feed:
            del self.feeds[feed.session_id]
            self._errand(feed.stop())
            self._errand(self._hear_text(feed.session_id))

    def _errand(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _hear_text(self, session_id: str) -> None:
        """Subscribe to a session's unfinished text, or stop, by whether it has a feed now."""
        if self._pubsub is None:
            return  # the next connection asks for what is wanted then
        channel = nudges.deltas_channel(session_id)
        with suppress(RedisError, OSError):
            if session_id in self.feeds:
                await self._pubsub.subscribe(channel)
            else:
                await self._pubsub.unsubscribe(channel)

    async def _listen(self) -> None:
        while True:
            try:
                await self._subscription()
            except (RedisError, OSError) as error:
                if self.connected.is_set():
                    log.warning("Lost Redis (%s); live readers poll until it is back.", type(error).__name__)
            finally:
                self.connected.clear()
                self._pubsub = None
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _subscription(self) -> None:
        client = redis.Redis.from_url(
            settings.HOLDFAST_REDIS_URL,
            socket_connect_timeout=2.0,
            health_check_interval=10,
            retry=Retry(NoBackoff(), 0),
        )
        async with client, client.pubsub() as pubsub:
            await pubsub.subscribe(nudges.channel("events"), *map(nudges.deltas_channel, self.feeds))
            self._pubsub = pubsub
            while True:
                message = await pubsub.get_message(timeout=5.0)
                if message is None:
                    continue
                name = message["channel"].decode()
                if message["type"] == "message":
                    self._hear(name, message["data"])
                    continue
                if message["type"] == "subscribe" and name != nudges.channel("events"):
                    self._errand(_announced(client, name.rpartition(":")[2]))
                if not self.connected.is_set():
                    self.connected.set()
                    self._errand(self._compare())

    def _hear(self, channel: str, data: bytes) -> None:
        try:
            body = json.loads(data)
            if channel == nudges.channel("events"):
                self._hear_event(body)
            else:
                self._hear_delta(channel.rpartition(":")[2], body)
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("A nudge could not be read and was left out.")

    def _hear_event(self, body: dict[str, Any]) -> None:
        session_id = body["session"]
        feed = self.feeds.get(session_id)
        if feed is not None:
            if "deleted" in body:
                feed.add(frames.deleted(body["deleted"]))
            else:
                feed.nudge(int(body["seq"]))
        self._tell_watchers(session_id)

    def _hear_delta(self, session_id: str, body: dict[str, Any]) -> None:
        feed = self.feeds.get(session_id)
        if feed is not None:
            feed.add(frames.delta(body["thread"], int(body["n"]), body["frame"]))

    def _tell_watchers(self, session_id: str | None) -> None:
        for callback in tuple(self._watchers):
            callback(session_id)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(getattr(settings, "HOLDFAST_LIVE_POLL_SECONDS", POLL_SECONDS))
            await self._compare()
            if not self.connected.is_set():
                self._tell_watchers(None)

    async def _compare(self) -> None:
        """Look at the database for growth and deletions that no nudge told of."""
        known = [feed for feed in self.feeds.values() if feed.ready]
        if not known:
            return
        try:
            lengths = await reading.lengths(feed.session_id for feed in known)
        except Exception as error:
            log.warning("Could not look for new events (%s); trying again.", type(error).__name__)
            return
        for feed in known:
            if feed.session_id not in lengths:
                feed.add(frames.deleted(nudges.deleted_event()))
            elif lengths[feed.session_id] > feed.cursor:
                feed.nudge(lengths[feed.session_id])


async def _announced(client: redis.Redis, session_id: str) -> None:
    """Tell the workers that a session's text is listened to. If they can't be told, they soon try by themselves."""
    with suppress(RedisError, OSError):
        async with asyncio.timeout(ANNOUNCED_SECONDS):
            await client.publish(*nudges.announcement(session_id))


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def current() -> Hub:
    """The hub of the running event loop; started at its first use."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub()
    return hub
