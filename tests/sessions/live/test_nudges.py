"""Redis gone, slow or back again: nothing raises, nothing is lost, the log stays quiet."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
from django.conf import settings

from config import places
from config.services.valkey import Valkey
from contract import ids
from sessions import hub, nudges
from sessions.audience import Audience
from sessions.lines import UNREAD, Lines
from tests.live import wait_for
from tests.sessions.live.troubles import forget_troubles
from tests.sessions.live.world import World, aside, eventually, make_world, run, start, subscribed, take

if TYPE_CHECKING:
    from collections.abc import Iterator


class OwnRedis:
    """A server of the test's own, to be killed and started again."""

    def __init__(self, directory: Path) -> None:
        self.valkey = Valkey(directory, directory)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        service = self.valkey.service()
        self.valkey.prepare()
        self.process = subprocess.Popen(
            [str(part) for part in service.argv], cwd=service.cwd, env=service.env, stdout=subprocess.DEVNULL
        )
        wait_for(self.valkey.ready, 10)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        self.valkey.socket.unlink(missing_ok=True)


@pytest.fixture
def own_redis(settings: Any) -> Iterator[OwnRedis]:
    with tempfile.TemporaryDirectory(prefix="hf-r-", dir="/tmp") as directory:
        server = OwnRedis(Path(directory))
        settings.HOLDFAST_REDIS_URL = places.redis_url(Path(directory))
        settings.HOLDFAST_LIVE_POLL_SECONDS = 0.1
        forget_troubles()
        with contextlib.ExitStack() as stack:
            stack.callback(forget_troubles)
            stack.callback(server.kill)
            yield server


@pytest.mark.django_db(transaction=True)
def test_events_arrive_without_redis(own_redis: OwnRedis) -> None:
    world = make_world()

    async def work() -> list[int | None]:
        stream = await subscribed(world)
        await aside(lambda: world.say("polled"))
        return [frame.seq for frame in await take(stream, 1)]

    assert run(work) == [1]


@pytest.mark.django_db(transaction=True)
def test_a_server_that_dies_and_comes_back_costs_no_event(own_redis: OwnRedis) -> None:
    own_redis.start()
    world = make_world()

    async def work() -> list[int | None]:
        stream = await subscribed(world)
        await eventually(hub.current().connected.is_set)
        await aside(lambda: world.say("before"))
        await aside(own_redis.kill)
        await eventually(lambda: not hub.current().connected.is_set())
        await aside(lambda: world.say("away"))
        await aside(own_redis.start)
        await eventually(hub.current().connected.is_set)
        await aside(lambda: world.say("back"))
        return [frame.seq for frame in await take(stream, 3)]

    assert run(work) == [1, 2, 3]


@pytest.mark.django_db(transaction=True)
def test_a_growing_log_is_told_to_watchers_by_name_and_without_redis_as_any(own_redis: OwnRedis) -> None:
    world: World = make_world()

    async def work() -> set[str | None]:
        seen: set[str | None] = set()
        hub.current().watch(seen.add)
        await eventually(lambda: None in seen)
        await aside(own_redis.start)
        await eventually(hub.current().connected.is_set)
        forget_troubles()
        await aside(lambda: world.say("told"))
        await eventually(lambda: world.id in seen)
        return seen

    assert run(work) == {None, world.id}


def test_publishing_without_redis_neither_raises_nor_floods_the_log(
    own_redis: OwnRedis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="sessions.nudges")
    for number in range(50):
        nudges.publish_events("sesn_x", number)
        nudges.publish_interrupt("sesn_x")
        nudges.publish_deleted("sesn_x")
    assert len(caplog.records) == 1


def test_nudges_arrive_in_order_and_again_after_the_server_was_away(own_redis: OwnRedis) -> None:
    own_redis.start()
    nudges.publish_events("sesn_x", 0)  # over a connection that dies with the server
    own_redis.kill()
    own_redis.start()
    client = redis.Redis.from_url(settings.HOLDFAST_REDIS_URL)
    with client, client.pubsub() as heard:  # type: ignore[no-untyped-call]
        heard.subscribe(nudges.channel("events"))
        assert heard.get_message(timeout=10)["type"] == "subscribe"
        for number in range(1, 4):
            nudges.publish_events("sesn_x", number)
        told = [json.loads(heard.get_message(timeout=10)["data"]) for _ in range(3)]
    assert told == [{"session": "sesn_x", "seq": number} for number in range(1, 4)]


def test_whoever_waits_for_an_answer_has_it_though_every_kept_connection_has_died(own_redis: OwnRedis) -> None:
    lines = Lines(settings.HOLDFAST_REDIS_URL)
    own_redis.start()
    with ThreadPoolExecutor(8) as many:
        assert set(many.map(lambda number: lines.ask("nobody", str(number)), range(64))) == {0}
        own_redis.kill()
        own_redis.start()
        assert set(many.map(lambda number: lines.ask("nobody", str(number)), range(64))) == {0}


def test_a_server_may_be_away_for_as_many_tries_as_there_are(own_redis: OwnRedis) -> None:
    lines = Lines(settings.HOLDFAST_REDIS_URL)
    for _ in range(150):
        with pytest.raises(redis.RedisError):
            lines.of("sesn_x").say("nobody", "1")
    own_redis.start()
    lines.of("sesn_x").say("nobody", "2")
    assert lines.ask("nobody", "3") == 0


def test_nobody_waits_for_ever_behind_one_who_publishes(own_redis: OwnRedis) -> None:
    own_redis.start()
    line, free = Lines(settings.HOLDFAST_REDIS_URL).of("sesn_x"), threading.Event()
    held = threading.Event()

    def hold(_listeners: int) -> None:
        held.set()
        free.wait(60)

    line.say("nobody", "1", hold)
    with ThreadPoolExecutor(2) as others:
        first = others.submit(line.settle)
        try:
            assert held.wait(10)
            with pytest.raises(redis.ConnectionError):
                others.submit(line.say, "nobody", "2").result(timeout=30)
        finally:
            free.set()
        first.result(timeout=10)
    line.say("nobody", "3")


def test_how_many_listen_is_known_once_all_is_answered(own_redis: OwnRedis) -> None:
    own_redis.start()
    line, told = Lines(settings.HOLDFAST_REDIS_URL).of("sesn_x"), list[int]()
    line.say("nobody", "1", told.append)
    line.settle()
    assert told == [0]
    with redis.Redis.from_url(settings.HOLDFAST_REDIS_URL) as client, client.pubsub() as heard:
        heard.subscribe("somebody")
        assert heard.get_message(timeout=10)["type"] == "subscribe"
        for _ in range(UNREAD):
            line.say("somebody", "2", told.append)
        assert told == [0]
        line.say("nobody", "3")
        assert told == [0] + [1] * UNREAD, "so many may wait for their answers"
    line.say("nobody", "4", told.append)
    own_redis.kill()
    with pytest.raises(redis.RedisError):
        for _ in range(100):  # what was said to a server that is dying may have been answered yet
            line.say("nobody", "5")
            line.settle()


def test_nudges_that_were_refused_are_told_of_a_little_later(
    own_redis: OwnRedis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="sessions.nudges")
    own_redis.start()
    nudges.publish_events("sesn_x", 1)
    with redis.Redis.from_url(settings.HOLDFAST_REDIS_URL) as client:
        client.execute_command("ACL", "SETUSER", "default", "-publish")
        for number in range(2, UNREAD + 2):
            nudges.publish_events("sesn_x", number)
        assert len(caplog.records) == 1
        client.execute_command("ACL", "SETUSER", "default", "+publish")
        forget_troubles()
        nudges.publish_events("sesn_x", 4)
    assert len(caplog.records) == 1


def test_interrupts_reach_the_listener_even_after_the_server_was_away(own_redis: OwnRedis) -> None:
    own_redis.start()
    heard: list[tuple[str, str | None]] = []
    arrived = threading.Event()

    def callback(session_id: str, thread_id: str | None) -> None:
        heard.append((session_id, thread_id))
        arrived.set()
        raise ValueError("a callback that fails does not end the listener")

    listener = nudges.listen_interrupts(callback)
    try:
        assert listener.listening.wait(10)
        nudges.publish_interrupt("sesn_1", "sthr_1")
        assert arrived.wait(10)
        own_redis.kill()
        wait_for(lambda: not listener.listening.is_set(), 10)
        own_redis.start()
        assert listener.listening.wait(15)
        arrived.clear()
        nudges.publish_interrupt("sesn_2")
        assert arrived.wait(10)
    finally:
        listener.stop()
    assert heard == [("sesn_1", "sthr_1"), ("sesn_2", None)]
    assert not listener.is_alive()


@pytest.mark.django_db(transaction=True)
def test_text_that_nobody_reads_is_not_said_until_a_server_listens(own_redis: OwnRedis) -> None:
    world = make_world()
    own_redis.start()
    listener = nudges.listen_interrupts(lambda *_: None)

    def begin_reply() -> bool:
        nudges.publish_delta(world.id, world.primary.pk, start(ids.event_id()))
        nudges.answered(world.id)
        return nudges.is_unread(world.id)

    async def read() -> None:
        await subscribed(world)
        await eventually(lambda: not nudges.is_unread(world.id))
        assert not await aside(begin_reply)

    try:
        assert listener.listening.wait(10)
        assert begin_reply()
        run(read)
        wait_for(begin_reply, 10)
        own_redis.kill()
        wait_for(lambda: not listener.listening.is_set(), 10)
        assert not nudges.is_unread(world.id), "who can't hear of readers knows of none that is away"
    finally:
        listener.stop()


def test_an_answer_from_before_an_announcement_counts_for_nothing() -> None:
    audience = Audience()
    audience.answered("sesn_1", 0, audience.begun())
    assert not audience.is_absent("sesn_1"), "it does not hear announcements"
    audience.hears(True)
    begun = audience.begun()
    audience.announced("sesn_1")
    audience.answered("sesn_1", 0, begun)
    assert not audience.is_absent("sesn_1")
    audience.answered("sesn_1", 0, audience.begun())
    audience.answered("sesn_2", 1, audience.begun())
    assert (audience.is_absent("sesn_1"), audience.is_absent("sesn_2")) == (True, False)
    audience.announced("sesn_1")
    assert not audience.is_absent("sesn_1")


def test_numbering_starts_anew_for_each_preview_and_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nudges, "COUNTED_PREVIEWS", 2)
    counter = nudges._Counter()
    assert [counter.next("a"), counter.next("a"), counter.next("b"), counter.next("c")] == [0, 1, 0, 0]
    assert counter.next("a") == 0
