"""What a stream shows: everything after a place in the log, once, in order, for whom it is meant."""

from __future__ import annotations

import asyncio
import itertools
import random
from functools import partial

import pytest

from contract.errors import NotFound
from sessions import events as ev
from sessions import feeds, hub, nudges, reading, streams
from sessions.events import Draft
from sessions.models import Session
from tests.sessions.live.world import (
    World,
    aside,
    drain,
    eventually,
    run,
    subscribed,
    take,
    until,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_without_a_place_only_what_comes_after_opening_is_shown(world: World) -> None:
    world.say("before")

    async def work() -> list[object]:
        stream = await subscribed(world)
        await aside(lambda: world.say("after"))
        return [frame.data["content"][0]["text"] for frame in await take(stream, 1)]

    assert run(work) == ["after"]


def test_with_a_place_the_log_is_shown_from_there_and_goes_on(world: World) -> None:
    for number in range(5):
        world.say(str(number))

    async def work() -> list[int | None]:
        stream = await subscribed(world, 2)
        await aside(lambda: world.say("5"))
        return [frame.seq for frame in await take(stream, 4)]

    assert run(work) == [3, 4, 5, 6]


def test_a_place_beyond_the_end_counts_as_the_end(world: World) -> None:
    world.say("0")

    async def work() -> list[int | None]:
        stream = await subscribed(world, 10**9)
        await aside(lambda: world.say("1"))
        return [frame.seq for frame in await take(stream, 1)]

    assert run(work) == [2]


def test_a_session_that_is_not_there_is_not_found_and_leaves_nothing_behind(world: World) -> None:
    async def work() -> int:
        with pytest.raises(NotFound):
            await streams.subscribe("sesn_nowhere")
        return len(hub.current().feeds)

    assert run(work) == 0


def test_readers_that_come_and_go_while_it_is_written_see_every_event_once(world: World) -> None:
    total, chance = 160, random.Random(7)

    async def write() -> None:
        sizes = itertools.cycle([1, 3, 2, 7, 1, 1, 5])
        written = 0
        while written < total:
            size = min(next(sizes), total - written)
            await aside(partial(world.append, *[Draft(ev.AGENT_THINKING)] * size))
            written += size

    async def read() -> list[int]:
        seen: list[int] = []
        while len(seen) < total:
            stream = await subscribed(world, seen[-1] if seen else 0)
            wanted = min(chance.randint(1, 40), total - len(seen))
            seen += [frame.seq or 0 for frame in await take(stream, wanted)]
            await stream.aclose()
        return seen

    async def work() -> list[list[int]]:
        readers = [asyncio.create_task(read()) for _ in range(8)]
        await write()
        return await asyncio.gather(*readers)

    for seen in run(work):
        assert seen == list(range(1, total + 1))


def test_a_reader_that_is_far_behind_catches_up_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE", 3)
    for number in range(10):
        world.say(str(number))

    async def work() -> list[int | None]:
        return [frame.seq for frame in await take(await subscribed(world, 0), 10)]

    assert run(work) == list(range(1, 11))


def test_a_reader_whose_queue_overflows_rereads_the_log_and_misses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "QUEUED_ROWS", 4)

    async def work() -> list[int | None]:
        stream = await subscribed(world, 0)
        feed = hub.current().feeds[world.id]
        for number in range(12):
            await aside(partial(world.say, str(number)))
        await eventually(lambda: feed.cursor == 12)
        assert all(reader.overrun and len(reader.queue) <= 4 for reader in feed.readers)
        first = [frame.seq for frame in await take(stream, 12)]
        await aside(lambda: world.say("12"))
        return first + [frame.seq for frame in await take(stream, 1)]

    assert run(work) == list(range(1, 14))


def test_operator_events_are_hidden_unless_asked_for(world: World) -> None:
    world.append(Draft(ev.OPS_SNAPSHOT, {"digest": "d", "size": 1}), Draft(ev.AGENT_THINKING))

    async def types(**options: frozenset[str]) -> list[str]:
        return [frame.type for frame in await take(await subscribed(world, 0, **options), 1)]

    assert run(lambda: types()) == [ev.AGENT_THINKING]
    assert run(lambda: types(types=frozenset({ev.OPS_SNAPSHOT}))) == [ev.OPS_SNAPSHOT]


def test_a_processed_event_is_shown_again_with_its_time(world: World) -> None:
    async def work() -> list[tuple[str, object, int | None]]:
        stream = await subscribed(world)
        queued = await aside(
            lambda: world.append(*(Draft(ev.USER_MESSAGE, {"content": []}, processed=False) for _ in range(2)))
        )
        first = await take(stream, 2)
        assert [frame.data["processed_at"] for frame in first] == [None, None]
        ids = [event.id for event in queued]
        await aside(lambda: world.append(Draft(ev.OPS_PROCESSED, {"event_ids": ids})))
        again = await take(stream, 2)
        assert [frame.data["id"] for frame in again] == ids
        return [(frame.type, frame.data["processed_at"], frame.seq) for frame in again]

    (first, second) = run(work)
    assert first[0] == second[0] == ev.USER_MESSAGE
    assert first[1] == second[1] is not None
    # One comes back after the whole row, never in the middle of it.
    assert (first[2], second[2]) == (None, 3)


def test_a_thread_stream_shows_that_thread_and_the_session_stream_what_is_posted_there(world: World) -> None:
    world.say("for all")
    world.append(Draft(ev.AGENT_THINKING), thread=world.child)
    asked = {"name": "bash", "input": {}, "evaluated_permission": "ask"}
    world.append(Draft(ev.TOOL_USE, asked), thread=world.child)

    async def seqs(thread_id: str | None, count: int) -> list[int | None]:
        return [frame.seq for frame in await take(await subscribed(world, 0, thread_id=thread_id), count)]

    assert run(lambda: seqs(None, 2)) == [1, 3]
    assert run(lambda: seqs(world.child.pk, 2)) == [2, 3]


def test_only_the_sessions_stream_says_which_thread_a_call_is_of(world: World) -> None:
    asked = {"name": "bash", "input": {}, "evaluated_permission": "ask"}
    world.append(Draft(ev.TOOL_USE, asked), thread=world.child)

    async def owner(thread_id: str | None) -> object:
        (frame,) = await take(await subscribed(world, 0, thread_id=thread_id), 1)
        return frame.data.get("session_thread_id")

    assert run(lambda: owner(None)) == world.child.pk
    assert run(lambda: owner(world.child.pk)) is None


def test_it_ends_when_the_session_is_deleted(world: World) -> None:
    async def work() -> list[str]:
        stream = await subscribed(world)
        await aside(lambda: nudges.publish_deleted(world.id))
        return [frame.type for frame in await drain(stream)]

    assert run(work) == [ev.SESSION_DELETED]


def test_a_deletion_nobody_told_of_is_found_out(world: World, settings: object) -> None:
    settings.HOLDFAST_LIVE_POLL_SECONDS = 0.05  # type: ignore[attr-defined]

    async def work() -> list[str]:
        stream = await subscribed(world)
        await aside(lambda: Session.objects.filter(pk=world.id).delete())
        return [frame.type for frame in await drain(stream)]

    assert run(work) == [ev.SESSION_DELETED]


def test_it_ends_after_the_session_is_terminated_and_at_once_for_one_that_was(world: World) -> None:
    def terminate() -> None:
        world.append(Draft(ev.THREAD_TERMINATED, {"session_thread_id": world.child.pk}), thread=world.child)
        world.append(Draft(ev.THREAD_TERMINATED, {"session_thread_id": world.primary.pk}))

    async def work() -> list[str]:
        stream = await subscribed(world)
        await aside(terminate)
        return [frame.type for frame in await drain(stream)]

    assert run(work)[-1] == ev.STATUS_TERMINATED
    assert run(lambda: _all(world, None)) == []
    assert run(lambda: _all(world, 0))[-1] == ev.STATUS_TERMINATED


async def _all(world: World, after: int | None) -> list[str]:
    return [frame.type for frame in await drain(await subscribed(world, after))]


def test_a_quiet_stream_pings(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PING_SECONDS", 0.05)

    async def work() -> list[str]:
        async for frame in await subscribed(world):
            return [frame.kind, frame.sse.decode()]
        return []

    assert run(work) == ["ping", 'event: ping\ndata: {"type":"ping"}\n\n']


def test_hidden_events_do_not_keep_a_stream_from_pinging(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PING_SECONDS", 0.2)

    async def chatter() -> None:
        while True:
            await aside(lambda: world.append(Draft(ev.OPS_SNAPSHOT, {"digest": "d", "size": 1})))

    async def work() -> str:
        noise = asyncio.create_task(chatter())
        try:
            async for frame in await subscribed(world):
                return frame.kind
        finally:
            noise.cancel()
            await asyncio.gather(noise, return_exceptions=True)
        return ""

    assert run(work) == "ping"


def test_a_closed_stream_leaves_the_hub_empty(world: World) -> None:
    async def work() -> tuple[int, int]:
        streams_open = [await subscribed(world, owner="me") for _ in range(3)]
        assert streams.open_count("me") == 3
        for stream in streams_open:
            await stream.aclose()
        return streams.open_count("me"), len(hub.current().feeds)

    assert run(work) == (0, 0)
    assert "me" not in streams._open_streams, "who has no stream is forgotten"


def test_a_stream_nobody_reads_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "UNREAD_SECONDS", 0.01)

    async def work() -> int:
        await subscribed(world, owner="me")
        await eventually(lambda: not hub.current().feeds)
        return streams.open_count("me")

    assert run(work) == 0


def test_one_line_of_json_whatever_the_text(world: World) -> None:
    world.say("a\nb\r\u2028\u0085é\U0001f600")

    async def work() -> bytes:
        frames = await until(await subscribed(world, 0), lambda seen: bool(seen))
        return frames[0].sse

    record = run(work)
    assert record.decode("ascii").count("\n") == 4
    assert record.startswith(b"event: agent.message\nid: 1\ndata: {")
