"""The publishing side of the live channel: "this session's log grew", text as it is written, "stop".

A nudge is only a hint. The log is the truth and readers also look at it by themselves every few
seconds, so a nudge that can't be sent is logged and forgotten: nothing here ever raises.

Channels, all under ``settings.HOLDFAST_CHANNEL_PREFIX`` (default ``holdfast``):

- ``<prefix>:events``: ``{"session", "seq"}`` after a commit, ``{"session", "deleted": event}``.
- ``<prefix>:deltas:<session id>``: ``{"thread", "n", "frame"}``, text that isn't on the log yet.
- ``<prefix>:interrupts``: ``{"session", "thread"}`` for the workers; thread null means every one.
- ``<prefix>:readers``: ``{"session"}`` for the workers: a server listens to the session's text from now on.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from contract import ids
from sessions import events
from sessions.audience import Audience
from sessions.lines import TIMEOUT_SECONDS, Lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")

REST_AFTER_FAILURE_SECONDS = 1.0
COMPLAIN_EVERY_SECONDS = 30.0
COUNTED_PREVIEWS = 4096
LISTEN_SECONDS = 1.0


def channel(name: str) -> str:
    """A channel's full name: ``channel("events")`` -> ``holdfast:events``."""
    return f"{getattr(settings, 'HOLDFAST_CHANNEL_PREFIX', 'holdfast')}:{name}"


def deltas_channel(session_id: str) -> str:
    """Where the unfinished text of one session travels; servers without readers don't get it."""
    return channel(f"deltas:{session_id}")


def publish_events(session_id: str, last_seq: int) -> None:
    """Say that the session's log now reaches ``last_seq``. Call it after the commit; nobody waits for its answer."""
    body = {"session": session_id, "seq": last_seq}
    _attempt(lambda: _lines(settings.HOLDFAST_REDIS_URL).of(session_id).say(channel("events"), _packed(body)))


def publish_deleted(session_id: str) -> None:
    """End every open stream of the session with one ``session.deleted`` event (spec core 8.9)."""
    _publish(channel("events"), {"session": session_id, "deleted": deleted_event()}, insist=True)


def person(user_id: int | str) -> str:
    """What stands in a session id's place when a nudge is about a person."""
    return f"user:{user_id}"


def publish_person(user_id: int | str) -> None:
    """Ask every open socket of a person to look whether they may still see what it shows."""
    _publish(channel("events"), {"session": person(user_id), "seq": 0}, insist=True)


def workspace(workspace_id: str) -> str:
    """What stands in a session id's place when a nudge is about all of a workspace."""
    return f"workspace:{workspace_id}"


def publish_workspace(workspace_id: str) -> None:
    """Say that something of a workspace changed that is on no session's log. Call it after the commit."""
    _publish(channel("events"), {"session": workspace(workspace_id), "seq": 0})


def publish_delta(
    session_id: str, thread_id: str, frame: Mapping[str, Any], heard: Callable[[int], None] | None = None
) -> None:
    """Send one ``event_start`` or ``event_delta`` frame of spec core 11.6; nobody waits for its answer.

    Every frame is numbered per event id, so that a reader who missed one shows no text with a hole. How many servers
    listen to the session is told to ``heard`` a little later, at ``answered`` at the latest; it must not publish.
    """
    name, number = deltas_channel(session_id), _counter.next(_event_id(frame))
    body = {"thread": thread_id, "n": number, "frame": dict(frame)}
    begun = _audience.begun()

    def told(listeners: int) -> None:
        _audience.answered(session_id, listeners, begun)
        if heard is not None:
            heard(listeners)

    _attempt(lambda: _lines(settings.HOLDFAST_REDIS_URL).of(session_id).say(name, _packed(body), told))


def is_unread(session_id: str) -> bool:
    """Whether it is known that no server listens to the session's text: what would be said of it reaches nobody."""
    return _audience.is_absent(session_id)


def announcement(session_id: str) -> tuple[str, str]:
    """What a server publishes, and where, once it listens to a session's text."""
    return channel("readers"), _packed({"session": session_id})


def answered(session_id: str) -> None:
    """Wait until all that was published of a session is answered, or the live channel is found to be away."""
    _attempt(_lines(settings.HOLDFAST_REDIS_URL).of(session_id).settle)


def publish_interrupt(session_id: str, thread_id: str | None = None) -> None:
    """Ask the worker that runs the thread (None: every thread of the session) to stop at once."""
    _publish(channel("interrupts"), {"session": session_id, "thread": thread_id}, insist=True)


def deleted_event() -> dict[str, Any]:
    """A ``session.deleted`` event as the wire shows it; it is on no log, for the log is gone."""
    return {
        "id": ids.event_id(),
        "type": events.SESSION_DELETED,
        "processed_at": events.timestamp(datetime.now(UTC)),
    }


def listen_interrupts(callback: Callable[[str, str | None], None]) -> InterruptListener:
    """Call ``callback(session_id, thread_id or None)`` for each interrupt, from a daemon thread.

    It reconnects by itself for ever; ``stop()`` ends it. Interrupts sent while it is away are lost
    here, but they are on the log, where the loop sees them before its next step.
    """
    listener = InterruptListener(callback)
    listener.start()
    return listener


class InterruptListener(threading.Thread):
    """The worker's ear: one connection of its own, for interrupts and for who reads which session live."""

    def __init__(self, callback: Callable[[str, str | None], None]) -> None:
        super().__init__(name="interrupts", daemon=True)
        self._callback = callback
        self._stopping = threading.Event()
        self.listening = threading.Event()

    def stop(self, timeout: float = 3.0) -> None:
        """Ask the thread to end and wait for it, ``timeout`` seconds at most."""
        self._stopping.set()
        self.join(timeout)

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except (redis.RedisError, OSError) as error:
                _complain("listen for interrupts", error)
            self.listening.clear()
            _audience.hears(False)
            self._stopping.wait(REST_AFTER_FAILURE_SECONDS)

    def _listen(self) -> None:
        client = redis.Redis.from_url(
            settings.HOLDFAST_REDIS_URL,
            socket_connect_timeout=TIMEOUT_SECONDS,
            socket_timeout=5.0,
            health_check_interval=15,
            retry=Retry(NoBackoff(), 0),
        )
        with client, client.pubsub() as subscription:  # type: ignore[no-untyped-call]
            heard = {channel("interrupts"): self._interrupted, channel("readers"): _read}
            subscription.subscribe(*heard)
            while not self._stopping.is_set():
                message = subscription.get_message(timeout=LISTEN_SECONDS)
                if message is None:
                    continue
                if message["type"] == "message":
                    heard[message["channel"].decode()](message["data"])
                elif message["type"] == "subscribe" and message["data"] == len(heard):
                    self.listening.set()
                    _audience.hears(True)

    def _interrupted(self, data: bytes) -> None:
        try:
            body = json.loads(data)
            session_id, thread_id = body["session"], body["thread"]
        except (ValueError, KeyError, TypeError):
            log.warning("An interrupt message could not be read and was left out.")
            return
        try:
            self._callback(session_id, thread_id)
        except Exception:
            log.exception("The interrupt of session %s could not be passed on.", session_id)


def _read(data: bytes) -> None:
    try:
        _audience.announced(json.loads(data)["session"])
    except (ValueError, KeyError, TypeError):
        log.warning("A message about a session's readers could not be read and was left out.")


class _Counter:
    """Numbers the frames of each preview: 0 for ``event_start``, then 1, 2, …; bounded."""

    def __init__(self) -> None:
        self._next: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def next(self, event_id: str) -> int:
        with self._lock:
            number = self._next.get(event_id, 0)
            self._next[event_id] = number + 1
            if len(self._next) > COUNTED_PREVIEWS:
                self._next.popitem(last=False)
            return number


class _Breaker:
    """After a failure nothing is tried for a second: a dead server must not slow every step down."""

    def __init__(self) -> None:
        self._closed_until = 0.0

    def resting(self) -> bool:
        return time.monotonic() < self._closed_until

    def trip(self) -> None:
        self._closed_until = time.monotonic() + REST_AFTER_FAILURE_SECONDS


class _Complaints:
    """One line in the log per ``COMPLAIN_EVERY_SECONDS``, with the number of those kept back."""

    def __init__(self) -> None:
        self._next_at = 0.0
        self._kept_back = 0
        self._lock = threading.Lock()

    def due(self) -> int | None:
        with self._lock:
            if time.monotonic() < self._next_at:
                self._kept_back += 1
                return None
            kept_back, self._kept_back = self._kept_back, 0
            self._next_at = time.monotonic() + COMPLAIN_EVERY_SECONDS
            return kept_back


_counter = _Counter()
_audience = Audience()
_breaker = _Breaker()
_complaints = _Complaints()


def _publish(name: str, body: Mapping[str, Any], *, insist: bool = False) -> int | None:
    """How many servers got it; None if that isn't known."""
    return _attempt(lambda: _lines(settings.HOLDFAST_REDIS_URL).ask(name, _packed(body)), insist=insist)


def _attempt(publish: Callable[[], Answer], *, insist: bool = False) -> Answer | None:
    if _breaker.resting() and not insist:
        return None
    try:
        return publish()
    except (redis.RedisError, OSError) as error:
        _breaker.trip()
        _complain("publish a nudge", error)
        return None


def _packed(body: Mapping[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"))


def _complain(what: str, error: Exception) -> None:
    kept_back = _complaints.due()
    if kept_back is not None:
        log.warning(
            "Could not %s (%s; %d more since the last such line). Pages and streams fall back to polling.",
            what,
            type(error).__name__,
            kept_back,
        )


@lru_cache(maxsize=4)
def _lines(url: str) -> Lines:
    return Lines(url)


def _event_id(frame: Mapping[str, Any]) -> str:
    if frame.get("type") == "event_start":
        return str(frame["event"]["id"])
    return str(frame["event_id"])
