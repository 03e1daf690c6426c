"""A turn from message to rest (spec core 11.7): order, text as it is written, usage, second and queued messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sdk.talk import all_of, last_words, logged, only, previews, said, text, types, until

if TYPE_CHECKING:
    from collections.abc import Callable

    import anthropic

    from tests.sdk.talk import Talk


ONE_TOOL_CALL = [
    "user.message",
    "session.status_running",
    "session.thread_status_running",
    "span.model_request_start",
    "agent.message",
    "agent.tool_use",
    "span.model_request_end",
    "agent.tool_result",
    "span.model_request_start",
    "agent.message",
    "span.model_request_end",
    "session.thread_status_idle",
    "session.usage",
    "session.status_idle",
]


@pytest.mark.proves("beta.sessions.events.send", "beta.sessions.events.list", "beta.sessions.events.stream")
@pytest.mark.proves("user.message", "send user.message", "agent.message", "agent.tool_use", "agent.tool_result")
@pytest.mark.proves("session.status_running", "session.thread_status_running", "span.model_request_start")
def test_a_turn_with_a_tool_comes_in_the_canonical_order(begin: Callable[..., Talk]) -> None:
    talk = begin()
    events = talk.says("run `echo canonical`")
    assert types(logged(events)) == ONE_TOOL_CALL
    assert [event.id for event in logged(events)] == [event.id for event in talk.log()]
    use, result = only(events, "agent.tool_use"), only(events, "agent.tool_result")
    assert (use.name, use.input, use.evaluated_permission) == ("bash", {"command": "echo canonical"}, "allow")
    assert use.session_thread_id is None
    assert result.tool_use_id == use.id
    assert not result.is_error
    assert said(result).strip() == "canonical"
    assert only(events, "session.status_idle").stop_reason.type == "end_turn"


@pytest.mark.proves("event_start", "event_delta")
def test_text_deltas_are_a_beginning_of_the_message_they_announce(begin: Callable[..., Talk]) -> None:
    events = begin(tools=[]).says("[[demo: slow=20 hugetext=300]]")
    message = only(events, "agent.message")
    start = only(events, "event_start")
    assert start.event.id == message.id
    assert start.event.type == "agent.message"
    kinds = types(events)
    assert kinds.index("span.model_request_start") < kinds.index("event_start") < kinds.index("event_delta")
    assert kinds.count("event_delta") > 3
    assert events.index(message) > max(n for n, kind in enumerate(kinds) if kind == "event_delta")
    assert previews(events) == {message.id: said(message)}


@pytest.mark.proves("agent.thinking")
def test_thinking_is_announced_and_logged_without_its_content(begin: Callable[..., Talk]) -> None:
    events = begin(tools=[]).says("[[demo: think]] hello")
    thought = only(events, "agent.thinking")
    assert set(thought.to_dict()) == {"id", "type", "processed_at"}
    assert thought.id in {event.event.id for event in all_of(events, "event_start")}
    kinds = types(events)
    assert kinds.index("agent.thinking") < kinds.index("agent.message")


def test_without_asking_for_deltas_none_come(begin: Callable[..., Talk]) -> None:
    talk = begin(tools=[])
    with talk.watching() as stream:
        talk.send(text("hello"))
        events = until(stream, lambda event: event.type == "session.status_idle")
    assert events == logged(events)


@pytest.mark.proves("session.usage", "session.status_idle", "span.model_request_end")
def test_usage_comes_right_before_every_idle_and_adds_up(begin: Callable[..., Talk]) -> None:
    talk = begin()
    events = [*talk.says("run `true`"), *talk.says("run `true`")]
    for number, event in enumerate(events):
        if event.type == "session.status_idle":
            assert events[number - 1].type == "session.usage"
    spans = all_of(events, "span.model_request_end")
    last = all_of(events, "session.usage")[-1].usage
    session = talk.retrieve()
    assert session.status == "idle"
    assert session.usage.output_tokens == last.output_tokens == sum(span.model_usage.output_tokens for span in spans)
    assert session.usage.input_tokens == sum(span.model_usage.input_tokens for span in spans)
    assert session.stats.active_seconds > 0
    assert session.usage.list_cost.currency == "USD"


def test_every_request_span_is_closed_once(begin: Callable[..., Talk]) -> None:
    events = begin().says("[[demo: steps=4]]")
    starts = [event.id for event in all_of(events, "span.model_request_start")]
    ends = [event.model_request_start_id for event in all_of(events, "span.model_request_end")]
    assert starts == ends
    assert len(starts) == 5


@pytest.mark.proves("session.thread_status_running", "session.thread_status_idle")
@pytest.mark.proves("beta.sessions.threads.list", "beta.sessions.threads.events.list")
def test_the_primary_thread_is_the_one_its_status_events_name(
    begin: Callable[..., Talk], client: anthropic.Anthropic
) -> None:
    talk = begin(tools=[])
    events = talk.says("hello")
    threads = list(client.beta.sessions.threads.list(talk.id))
    assert [thread.parent_thread_id for thread in threads] == [None]
    assert only(events, "session.thread_status_running").session_thread_id == threads[0].id
    assert only(events, "session.thread_status_idle").session_thread_id == threads[0].id
    own = list(client.beta.sessions.threads.events.list(threads[0].id, session_id=talk.id))
    assert "agent.message" in types(own)


def test_a_second_message_goes_on_in_the_same_place(begin: Callable[..., Talk]) -> None:
    talk = begin()
    talk.says("write notes.txt with `remember the milk`")
    events = talk.says("run `cat notes.txt`")
    assert "remember the milk" in said(only(events, "agent.tool_result"))
    assert "remember the milk" in last_words(events)
    assert [event.type for event in talk.log(types=["session.status_idle"])] == ["session.status_idle"] * 2


def test_parallel_calls_are_all_answered_before_the_next_request(begin: Callable[..., Talk]) -> None:
    events = begin().says("[[demo: parallel=4]]")
    uses, results = all_of(events, "agent.tool_use"), all_of(events, "agent.tool_result")
    assert {use.id for use in uses} == {result.tool_use_id for result in results}
    assert len(uses) == 4
    assert [bool(result.is_error) for result in results].count(True) == 1
    kinds = types(logged(events))
    second = kinds.index("span.model_request_start", kinds.index("span.model_request_end"))
    assert kinds[:second].count("agent.tool_result") == 4


def test_messages_sent_meanwhile_wait_and_are_answered_in_order(begin: Callable[..., Talk]) -> None:
    talk = begin()
    queued: list[str] = []

    def interject(event: object) -> None:
        if getattr(event, "type", "") == "agent.tool_use" and not queued:
            for word in ("first", "second"):
                (echo,) = talk.send(text(f"run `echo {word} in the queue`"))
                assert echo.processed_at is None
                queued.append(echo.id)

    with talk.watching() as stream:
        talk.send(text("run `sleep 1`"))
        idles = 0
        events = []
        for event in stream:
            interject(event)
            events.append(event)
            idles += event.type == "session.status_idle"
            if event.type == "session.status_idle" and queued and _processed(events, queued):
                break
    copies = [event.processed_at is not None for event in events if event.id == queued[0]]
    assert copies == [False, True]
    results = [said(result) for result in all_of(events, "agent.tool_result")]
    assert "first in the queue" in "".join(results) + last_words(events)
    listed = talk.log(types=["user.message"])
    assert [event.id for event in listed][-2:] == queued
    assert all(event.processed_at is not None for event in listed)


def _processed(events: list[object], ids: list[str]) -> bool:
    done = {event.id for event in events if getattr(event, "processed_at", None) and hasattr(event, "id")}
    return set(ids) <= done


@pytest.mark.proves("beta.sessions.create")
def test_initial_events_start_the_session_at_once(begin: Callable[..., Talk]) -> None:
    talk = begin(initial_events=[text("run `echo from the start`")])
    with talk.watching() as stream:
        if talk.retrieve().status != "idle":
            until(stream, lambda event: event.type == "session.status_idle")
    log = talk.log()
    assert types(log)[0] == "user.message"
    assert "from the start" in said(only(log, "agent.tool_result"))


@pytest.mark.proves("system.message", "send system.message")
def test_a_system_message_reaches_the_model_with_the_message_it_follows(begin: Callable[..., Talk]) -> None:
    talk = begin(tools=[])
    note = {"type": "system.message", "content": [{"type": "text", "text": "Be brief."}]}
    events = talk.turn(text("hello"), note)
    assert only(events, "system.message").processed_at is not None
    assert only(events, "session.status_idle").stop_reason.type == "end_turn"
