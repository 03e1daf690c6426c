"""Unfinished text (spec core 14.3): the start first, then all of it or a beginning, never a hole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from contract import ids
from sessions import events as ev
from sessions import nudges, streams
from sessions.events import Draft
from tests.sessions.live.troubles import forget_troubles
from tests.sessions.live.world import World, aside, delta, run, start, subscribed, until

if TYPE_CHECKING:
    from sessions.frames import Frame

pytestmark = pytest.mark.django_db(transaction=True)


def publish(world: World, frame: dict[str, Any], thread_id: str | None = None) -> None:
    nudges.publish_delta(world.id, thread_id or world.primary.pk, frame)


def finish(world: World, message: str, text: str) -> None:
    world.append(
        Draft(ev.AGENT_MESSAGE, {"content": [{"type": "text", "text": text}]}, id=message),
        Draft(ev.MODEL_END, {"model_usage": {}}),
    )


def ended(frames: list[Frame]) -> bool:
    return frames[-1].type == ev.MODEL_END


def text_of(frames: list[Frame]) -> str:
    return "".join(frame.data["delta"]["content"]["text"] for frame in frames if frame.type == "event_delta")


def test_text_arrives_between_the_start_of_the_request_and_the_message(world: World) -> None:
    message = ids.event_id()

    def reply() -> None:
        world.begin_request()
        publish(world, start(message))
        publish(world, delta(message, "Hel"))
        publish(world, delta(message, "lo"))
        finish(world, message, "Hello")

    async def work() -> list[Frame]:
        stream = await subscribed(world, deltas=streams.PREVIEWED)
        await aside(reply)
        return await until(stream, ended)

    frames = run(work)
    kinds = [frame.type for frame in frames]
    assert kinds == [ev.MODEL_START, "event_start", "event_delta", "event_delta", ev.AGENT_MESSAGE, ev.MODEL_END]
    assert text_of(frames) == "Hello"
    assert all(frame.seq is None for frame in frames if frame.kind == "delta")
    assert b"id:" not in frames[1].sse.split(b"data:")[0]


def test_only_the_kinds_asked_for_are_previewed(world: World) -> None:
    thought, message = ids.event_id(), ids.event_id()

    def reply() -> None:
        world.begin_request()
        publish(world, start(thought, ev.AGENT_THINKING))
        publish(world, start(message))
        publish(world, delta(message, "x"))
        finish(world, message, "x")

    async def work(wanted: frozenset[str]) -> list[str]:
        stream = await subscribed(world, deltas=wanted)
        await aside(reply)
        return [frame.data["event"]["id"] for frame in await until(stream, ended) if frame.type == "event_start"]

    assert run(lambda: work(frozenset({ev.AGENT_THINKING}))) == [thought]
    thought, message = ids.event_id(), ids.event_id()
    assert run(lambda: work(frozenset())) == []


def test_a_stream_opened_in_the_middle_of_a_request_gets_no_text_of_it(world: World) -> None:
    first, second = ids.event_id(), ids.event_id()

    def rest() -> None:
        publish(world, start(first))
        publish(world, delta(first, "late"))
        finish(world, first, "late")
        world.begin_request()
        publish(world, start(second))
        publish(world, delta(second, "whole"))
        finish(world, second, "whole")

    async def work() -> list[Frame]:
        await aside(world.begin_request)
        stream = await subscribed(world, 0, deltas=streams.PREVIEWED)
        await aside(rest)
        return await until(stream, lambda frames: frames[-1].data.get("id") == second and ended_twice(frames))

    def ended_twice(frames: list[Frame]) -> bool:
        return sum(frame.type == ev.MODEL_END for frame in frames) >= 1

    assert text_of(run(work)) == "whole"


def test_after_a_hole_no_more_of_that_text_is_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    message = ids.event_id()

    def reply() -> None:
        world.begin_request()
        publish(world, start(message))
        publish(world, delta(message, "one "))
        with monkeypatch.context() as broken:
            broken.setattr(nudges, "_lines", lambda url: _Broken())
            publish(world, delta(message, "two "))
        forget_troubles()
        publish(world, delta(message, "three"))
        finish(world, message, "one two three")

    async def work() -> list[Frame]:
        stream = await subscribed(world, deltas=streams.PREVIEWED)
        await aside(reply)
        return await until(stream, ended)

    assert text_of(run(work)) == "one "


class _Broken:
    def of(self, session_id: str) -> _Broken:
        return self

    def say(self, channel: str, text: str, heard: Any) -> None:
        raise ConnectionError("away")


def test_text_that_comes_after_its_message_is_dropped(world: World) -> None:
    message = ids.event_id()

    def reply() -> None:
        world.begin_request()
        publish(world, start(message))
        world.append(Draft(ev.AGENT_MESSAGE, {"content": []}, id=message))
        publish(world, delta(message, "too late"))
        world.append(Draft(ev.MODEL_END, {"model_usage": {}}))

    async def work() -> list[Frame]:
        stream = await subscribed(world, deltas=streams.PREVIEWED)
        await aside(reply)
        return await until(stream, ended)

    assert text_of(run(work)) == ""


def test_another_threads_text_stays_on_its_own_stream(world: World) -> None:
    message = ids.event_id()

    def reply() -> None:
        world.append(Draft(ev.MODEL_START), thread=world.child)
        publish(world, start(message), world.child.pk)
        publish(world, delta(message, "child"), world.child.pk)
        world.append(Draft(ev.MODEL_END, {"model_usage": {}}), thread=world.child)
        world.append(Draft(ev.MODEL_END, {"model_usage": {}}))

    async def work() -> tuple[str, str]:
        ours = await subscribed(world, deltas=streams.PREVIEWED)
        its = await subscribed(world, thread_id=world.child.pk, deltas=streams.PREVIEWED)
        await aside(reply)
        return text_of(await until(ours, ended)), text_of(await until(its, ended))

    assert run(work) == ("", "child")
