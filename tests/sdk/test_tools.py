"""Calls that wait: custom tools, permission to ask for, partial answers, wrong ones (spec core 10.5)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from anthropic import beta_async_tool

from tests.sdk.talk import TOOLSET, all_of, last_words, only, said, text, types

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live import Installation
    from tests.sdk.talk import Talk

WEATHER = {
    "type": "custom",
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
ASKING = {"type": TOOLSET, "default_config": {"enabled": True, "permission_policy": {"type": "always_ask"}}}


def result_of(use_id: str, answer: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": answer}]
    return {"type": "user.custom_tool_result", "custom_tool_use_id": use_id, "content": content, **more}


def verdict(use_id: str, result: str, **more: Any) -> dict[str, Any]:
    return {"type": "user.tool_confirmation", "tool_use_id": use_id, "result": result, **more}


def waiting_for(events: list[Any]) -> list[str]:
    idle = events[-1]
    assert idle.type == "session.status_idle"
    assert idle.stop_reason.type == "requires_action"
    return list(idle.stop_reason.event_ids)


@pytest.mark.proves("agent.custom_tool_use", "user.custom_tool_result", "send user.custom_tool_result")
def test_a_custom_tool_waits_for_its_client_and_goes_on_with_the_answer(begin: Callable[..., Talk]) -> None:
    talk = begin(tools=[WEATHER])
    events = talk.says("[[demo: custom=get_weather]]")
    use = only(events, "agent.custom_tool_use")
    assert use.name == "get_weather"
    assert waiting_for(events) == [use.id]
    assert all_of(events, "session.thread_status_idle")[-1].stop_reason.type == "requires_action"
    assert talk.retrieve().status == "idle"

    rest = talk.turn(result_of(use.id, "rain, 11 degrees"))
    echo = only(rest, "user.custom_tool_result")
    assert echo.processed_at is not None
    assert "session.status_running" in types(rest)
    assert "rain, 11 degrees" in last_words(rest)
    assert rest[-1].stop_reason.type == "end_turn"


def test_an_error_result_of_a_custom_tool_reaches_the_model(begin: Callable[..., Talk]) -> None:
    talk = begin(tools=[WEATHER])
    use = only(talk.says("[[demo: custom=get_weather]]"), "agent.custom_tool_use")
    rest = talk.turn(result_of(use.id, "the station is closed", is_error=True))
    assert "the station is closed" in last_words(rest)


def test_the_sdks_own_tool_runner_answers_custom_tools(installation: Installation, begin: Callable[..., Talk]) -> None:
    talk = begin(tools=[WEATHER])

    @beta_async_tool
    async def get_weather(city: str) -> str:
        """The weather in a city."""
        return f"sunny in {city or 'town'}"

    async def run() -> list[Any]:
        client = anthropic.AsyncAnthropic(
            base_url=installation.url, api_key=installation.api_key, _strict_response_validation=True
        )
        async with client:
            runner = client.beta.sessions.events.tool_runner(talk.id, tools=[get_weather], max_idle=1.0)
            await client.beta.sessions.events.send(talk.id, events=[text("[[demo: custom=get_weather]]")])  # type: ignore[list-item]
            return [call async for call in runner]

    calls = asyncio.run(asyncio.wait_for(run(), 60))
    assert [(call.name, call.posted, call.is_error) for call in calls] == [("get_weather", True, False)]
    log = talk.log()
    assert "sunny in" in last_words(log)
    assert log[-1].stop_reason.type == "end_turn"


@pytest.mark.proves("user.tool_confirmation", "send user.tool_confirmation")
def test_a_call_that_is_allowed_runs(begin: Callable[..., Talk]) -> None:
    talk = begin(tools=[ASKING])
    events = talk.says("run `echo permitted`")
    use = only(events, "agent.tool_use")
    assert use.evaluated_permission == "ask"
    assert use.evaluation.type == "always_ask"
    assert waiting_for(events) == [use.id]
    assert not all_of(events, "agent.tool_result")

    rest = talk.turn(verdict(use.id, "allow"))
    assert said(only(rest, "agent.tool_result")).strip() == "permitted"
    assert rest[-1].stop_reason.type == "end_turn"


def test_a_message_may_follow_the_last_answer_and_waits_for_that_turn(begin: Callable[..., Talk]) -> None:
    talk = begin(tools=[ASKING])
    use = only(talk.says("run `echo permitted`"), "agent.tool_use")
    with pytest.raises(anthropic.BadRequestError, match=f"waits for answers to {use.id}"):
        talk.send(text("say `next`"))
    rest = talk.turn(verdict(use.id, "allow"), text("say `next`"))
    assert not all_of(rest, "session.error")
    assert last_words(rest) == "next"
    assert rest[-1].stop_reason.type == "end_turn"


@pytest.mark.proves("send user.tool_confirmation")
def test_a_call_that_is_denied_never_runs_and_the_model_hears_why(begin: Callable[..., Talk]) -> None:
    talk = begin(tools=[ASKING])
    use = only(talk.says("run `touch /workspace/denied; echo ran`"), "agent.tool_use")
    rest = talk.turn(verdict(use.id, "deny", deny_message="Keep your hands off."))
    result = only(rest, "agent.tool_result")
    assert result.is_error
    assert result.tool_use_id == use.id
    assert "Keep your hands off." in said(result)
    assert "ran" not in said(result).split()
    assert rest[-1].stop_reason.type == "end_turn"


def test_partial_answers_leave_the_rest_waiting(begin: Callable[..., Talk]) -> None:
    talk = begin(tools=[ASKING])
    events = talk.says("[[demo: parallel=3]]")
    calls = [use.id for use in all_of(events, "agent.tool_use")]
    assert sorted(waiting_for(events)) == sorted(calls)

    rest = talk.turn(verdict(calls[1], "deny"))
    assert sorted(waiting_for(rest)) == sorted([calls[0], calls[2]])
    assert "span.model_request_start" not in types(rest)
    assert rest[-2].type == "session.usage"

    end = talk.turn(verdict(calls[0], "allow"), verdict(calls[2], "deny", deny_message="no"))
    assert end[-1].stop_reason.type == "end_turn"
    answered = [event.tool_use_id for event in talk.log(types=["agent.tool_result"])]
    assert sorted(answered) == sorted(calls)


def test_a_free_call_runs_while_a_gated_one_of_the_same_reply_waits(begin: Callable[..., Talk]) -> None:
    talk = begin(tools=[{"type": TOOLSET, "configs": [{"name": "write", "permission_policy": {"type": "always_ask"}}]}])
    first = talk.says("write gated.txt with `x`")
    gated = only(first, "agent.tool_use")
    assert gated.name == "write"
    assert waiting_for(first) == [gated.id]
    rest = talk.turn(verdict(gated.id, "allow"))
    assert not only(rest, "agent.tool_result").is_error
    free = talk.says("run `cat gated.txt`")
    assert only(free, "agent.tool_use").evaluated_permission == "allow"
    assert "x" in said(only(free, "agent.tool_result"))


def test_answers_that_fit_no_waiting_call_are_refused_and_nothing_is_written(begin: Callable[..., Talk]) -> None:
    talk = begin(tools=[ASKING, WEATHER])
    use = only(talk.says("run `echo once`"), "agent.tool_use")
    length = len(talk.log())
    wrong = [
        verdict("sevt_nowhere", "allow"),
        verdict(use.id, "allow", deny_message="only with deny"),
        result_of(use.id, "wrong kind"),
    ]
    for event in wrong:
        with pytest.raises(anthropic.BadRequestError):
            talk.send(event)
    with pytest.raises(anthropic.BadRequestError):
        talk.send(text("all or nothing"), verdict("sevt_nowhere", "allow"))
    assert len(talk.log()) == length
    talk.turn(verdict(use.id, "allow"))
    with pytest.raises(anthropic.BadRequestError, match="already"):
        talk.send(verdict(use.id, "allow"))
