"""A model that breaks, refuses or talks nonsense: the turn is asked again, or ends with a reason (spec core 13)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from tests.sdk.talk import all_of, last_words, logged, only, said, types

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sdk.talk import Talk

BREAKS = ["drop", "silent", "evterror", "corrupt", "fail=529", "fail=500", "fail=503", "fail=429x1"]


def balanced(events: list[Any]) -> bool:
    starts = [event.id for event in all_of(events, "span.model_request_start")]
    return starts == [event.model_request_start_id for event in all_of(events, "span.model_request_end")]


@pytest.mark.parametrize("fault", BREAKS)
def test_a_reply_that_breaks_is_asked_for_again_and_nothing_of_it_is_logged(
    begin: Callable[..., Talk], fault: str
) -> None:
    talk = begin()
    events = talk.says(f"[[demo: {fault} plan]] run `echo once >> count.txt; cat count.txt`")
    assert said(only(events, "agent.tool_result")).split() == ["once"]
    assert events[-1].stop_reason.type == "end_turn"
    assert balanced(events)
    messages = [event.id for event in all_of(events, "agent.message")]
    assert len(messages) == len(set(messages)) == 2
    assert [event.id for event in logged(events)] == [event.id for event in talk.log()]


def test_a_break_after_the_tool_ran_does_not_run_it_again(begin: Callable[..., Talk]) -> None:
    events = begin().says("[[demo: drop at=2]] run `echo once >> count.txt; cat count.txt`")
    assert said(only(events, "agent.tool_result")).split() == ["once"]
    assert events[-1].stop_reason.type == "end_turn"


@pytest.mark.proves("session.error", "session.status_rescheduled", "session.thread_status_rescheduled")
def test_errors_on_the_way_say_that_they_are_retried(begin: Callable[..., Talk]) -> None:
    events = begin(tools=[]).says("[[demo: fail=529x4]] hello")
    errors = all_of(events, "session.error")
    assert errors
    assert {error.error.retry_status.type for error in errors} == {"retrying"}
    assert {error.error.type for error in errors} == {"model_overloaded_error"}
    assert {"session.status_rescheduled", "session.thread_status_rescheduled"} <= set(types(events))
    assert types(events).count("session.status_running") == types(events).count("session.status_rescheduled") + 1
    assert events[-1].stop_reason.type == "end_turn"


def test_a_model_that_never_answers_exhausts_the_retries_and_the_next_message_starts_anew(
    begin: Callable[..., Talk],
) -> None:
    talk = begin(tools=[])
    events = talk.says("[[demo: fail=529xall]] hello")
    statuses = [error.error.retry_status.type for error in all_of(events, "session.error")]
    assert statuses[-1] == "exhausted"
    assert set(statuses[:-1]) == {"retrying"}
    assert events[-1].stop_reason.type == "retries_exhausted"
    assert types(events)[-2] == "session.usage"
    # The unanswered message is still part of the question, so the model fails again; but it was asked again.
    again = talk.says("hello")
    assert all_of(again, "span.model_request_start")
    assert balanced(again)


def test_an_error_that_can_not_get_better_is_not_retried(begin: Callable[..., Talk]) -> None:
    talk = begin(tools=[])
    events = talk.says("[[demo: fail=401xall]] hello")
    error = only(events, "session.error").error
    assert error.retry_status.type in {"exhausted", "terminal"}
    assert "401" in error.message or "key" in error.message.lower()
    assert len(all_of(events, "span.model_request_start")) == 1


@pytest.mark.parametrize("nonsense", ["badjson", "badargs", "badtool"])
def test_a_call_that_makes_no_sense_is_an_error_the_model_sees(begin: Callable[..., Talk], nonsense: str) -> None:
    events = begin().says(f"[[demo: {nonsense}]]")
    results = all_of(events, "agent.tool_result")
    assert results
    assert all(result.is_error for result in results)
    assert {result.tool_use_id for result in results} == {use.id for use in all_of(events, "agent.tool_use")}
    assert events[-1].stop_reason.type == "end_turn"


def test_a_refusal_ends_the_turn_with_its_details(begin: Callable[..., Talk]) -> None:
    idle = begin(tools=[]).says("[[demo: refusal]]")[-1]
    assert idle.stop_reason.type == "refusal"
    assert idle.stop_details.type == "refusal"
    assert "refused" in idle.stop_details.explanation


@pytest.mark.parametrize("directive", ["max_tokens", "max_tokens=tool", "pause_turn"])
def test_a_reply_cut_short_runs_no_half_call_and_the_turn_ends(begin: Callable[..., Talk], directive: str) -> None:
    talk = begin()
    events = talk.says(f"[[demo: {directive}]]")
    assert events[-1].stop_reason.type == "end_turn"
    assert balanced(events)
    assert not [result for result in all_of(events, "agent.tool_result") if not result.is_error]
    assert talk.says("hello")[-1].stop_reason.type == "end_turn"


def test_a_huge_output_is_cut_for_the_model_and_the_session_goes_on(begin: Callable[..., Talk]) -> None:
    talk = begin()
    events = talk.says("[[demo: huge=10000000]]")
    output = said(only(events, "agent.tool_result"))
    assert 1000 < len(output) < 200_000
    assert events[-1].stop_reason.type == "end_turn"
    assert "fine" in said(only(talk.says("run `echo fine`"), "agent.tool_result"))


def test_a_failing_command_is_reported_not_raised(begin: Callable[..., Talk]) -> None:
    events = begin().says("run `ls /nowhere`")
    result = only(events, "agent.tool_result")
    assert "nowhere" in said(result)
    assert not all_of(events, "session.error")
    assert events[-1].stop_reason.type == "end_turn"


def test_output_that_is_not_text_is_shown_as_well_as_can_be(begin: Callable[..., Talk]) -> None:
    events = begin().says("run `printf 'a\\000\\377\\376b'`")
    assert said(only(events, "agent.tool_result")).startswith("a")
    assert events[-1].stop_reason.type == "end_turn"


def test_a_session_that_ended_takes_no_more_events(begin: Callable[..., Talk], client: anthropic.Anthropic) -> None:
    talk = begin(tools=[])
    talk.says("hello")
    client.beta.sessions.archive(talk.id)
    length = len(talk.log())
    with pytest.raises((anthropic.BadRequestError, anthropic.ConflictError)):
        talk.send({"type": "user.message", "content": [{"type": "text", "text": "anyone?"}]})
    assert len(talk.log()) == length
    assert talk.retrieve().status == "terminated"


def test_the_answer_to_a_long_task_reports_all_its_steps(begin: Callable[..., Talk]) -> None:
    events = begin().says("[[demo: steps=12]]")
    assert len(all_of(events, "agent.tool_use")) == len(all_of(events, "agent.tool_result")) == 12
    assert "12" in last_words(events)
