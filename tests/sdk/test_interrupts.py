"""Stopping a turn (spec core 10.7): in the middle of text, in the middle of a command, while it waits, at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sdk.talk import TOOLSET, all_of, last_words, logged, only, said, text, types, until_idle

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sdk.talk import Talk

INTERRUPT = {"type": "user.interrupt"}


class Once:
    """Sends events at the first event of a type."""

    def __init__(self, talk: Talk, event_type: str, *events: Any) -> None:
        self.talk, self.event_type, self.events = talk, event_type, events
        self.sent: list[Any] = []

    def __call__(self, event: Any) -> None:
        if event.type == self.event_type and not self.sent:
            self.sent = self.talk.send(*self.events)


@pytest.mark.proves("user.interrupt", "send user.interrupt")
def test_text_in_progress_stops_at_once_and_is_not_logged(begin: Callable[..., Talk]) -> None:
    talk = begin(tools=[])
    stop = Once(talk, "event_delta", INTERRUPT)
    events = talk.says("[[demo: slow=100 hugetext=20000]]", on=stop)
    assert not all_of(events, "agent.message")
    span = only(events, "span.model_request_end")
    assert span.model_request_start_id == only(events, "span.model_request_start").id
    assert events[-1].stop_reason.type == "end_turn"
    interrupt = [event for event in events if event.type == "user.interrupt"][-1]
    assert interrupt.id == stop.sent[0].id
    assert interrupt.processed_at is not None
    assert "agent.message" not in types(talk.log())
    assert types(events)[-3:] == ["session.thread_status_idle", "session.usage", "session.status_idle"]


def test_a_running_command_is_stopped_and_its_call_gets_an_error_result(begin: Callable[..., Talk]) -> None:
    talk = begin()
    events = talk.says("run `sleep 300; echo never`", on=Once(talk, "agent.tool_use", INTERRUPT))
    result = only(events, "agent.tool_result")
    assert result.is_error
    assert "never" not in said(result).split()
    assert all_of(events, "span.model_request_start") == all_of(logged(events), "span.model_request_start")[:1]
    assert events[-1].stop_reason.type == "end_turn"
    after = talk.says("run `echo still alive`")
    assert "still alive" in said(only(after, "agent.tool_result"))


def test_an_interrupt_with_a_message_starts_the_next_turn_with_it(begin: Callable[..., Talk]) -> None:
    talk = begin()
    stop = Once(talk, "agent.tool_use", INTERRUPT, text("run `echo instead`"))
    with talk.watching() as stream:
        talk.send(text("run `sleep 300`"))
        events = until_idle(stream, stop)
        if not _mentions(events, "instead"):
            events += until_idle(stream)
    assert "instead" in last_words(events)
    assert events[-1].stop_reason.type == "end_turn"


def _mentions(events: list[Any], word: str) -> bool:
    return any(word in said(event) for event in all_of(events, "agent.message"))


def test_an_interrupt_at_rest_changes_nothing(begin: Callable[..., Talk]) -> None:
    talk = begin(tools=[])
    talk.says("hello")
    talk.send(INTERRUPT)
    assert talk.retrieve().status == "idle"
    assert only(talk.says("hello again"), "agent.message")


def test_calls_that_wait_for_an_answer_are_closed(begin: Callable[..., Talk]) -> None:
    asking = {"type": TOOLSET, "default_config": {"enabled": True, "permission_policy": {"type": "always_ask"}}}
    talk = begin(tools=[asking])
    use = only(talk.says("run `echo never`"), "agent.tool_use")
    events = talk.turn(INTERRUPT)
    result = only(events, "agent.tool_result")
    assert (result.tool_use_id, result.is_error) == (use.id, True)
    assert "interrupted" in said(result)
    assert "span.model_request_start" not in types(events)
    assert events[-1].stop_reason.type == "end_turn"
