"""Caps and loop detection as the unmodified SDK sees them: sent by `extra_body`, told in ways that it understands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from tests.live import wait_for
from tests.sdk.talk import TOOLSET, all_of, only, said

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sdk.talk import Talk

DOLLAR = {"amount": "100", "currency": "USD"}


def test_a_session_stops_at_its_steps_by_name_and_goes_on_once_they_are_raised(begin: Callable[..., Talk]) -> None:
    talk = begin(extra_body={"holdfast": {"limits": {"steps": 2}}})
    events = talk.says("[[demo: steps=4]]")
    stop = events[-1].stop_reason
    assert stop.type == "budget_reached"
    assert stop.to_dict()["holdfast"] == {"cap": "steps", "level": "session", "limit": 2, "used": 2}
    with pytest.raises(anthropic.BadRequestError, match="limit of 2 steps is used up"):
        talk.send({"type": "user.message", "content": [{"type": "text", "text": "go on"}]})
    updated = talk.client.beta.sessions.update(talk.id, extra_body={"holdfast": {"limits": {"steps": 10}}})
    assert updated.to_dict()["holdfast"] == {"limits": {"steps": 10}}
    wait_for(lambda: talk.retrieve().status == "idle", 60, "it did not go on")
    log = talk.log()
    assert len(all_of(log, "agent.tool_result")) == 4
    assert log[-1].stop_reason.type == "end_turn"


@pytest.mark.parametrize(
    ("task", "kind", "sentence", "results"),
    [
        ("[[demo: loop]]", "identical_calls", "The same call was made 6 times in a row", 12),
        ("Run `echo a`. Run `echo b`. " * 14, "ping_pong", "The same two calls were made in turn 6 times", 24),
    ],
)
def test_an_agent_that_repeats_itself_is_reminded_then_stopped(
    begin: Callable[..., Talk], task: str, kind: str, sentence: str, results: int
) -> None:
    talk = begin()
    events = talk.says(task)
    error = only(events, "session.error").error
    assert error.type == "tool_use_limit_reached_error"
    assert sentence in error.message
    assert events[-1].stop_reason.type == "retries_exhausted"
    assert events[-1].stop_reason.to_dict()["holdfast"] == {"loop": kind}
    assert len(all_of(events, "agent.tool_result")) == results
    reminders: Any = talk.client.get(f"/v1/sessions/{talk.id}/events?types[]=ops.reminder", cast_to=object)
    assert [event["kind"] for event in reminders["data"]] == [kind]


def test_an_agent_keeps_its_limits_and_unknown_ones_are_refused(client: anthropic.Anthropic) -> None:
    tools: list[Any] = [{"type": TOOLSET}]
    ours = {"limits": {"tokens": 5000}, "fallback_models": ["demo-b"]}
    agent = client.beta.agents.create(name="Capped", model="demo", tools=tools, extra_body={"holdfast": ours})
    assert agent.to_dict()["holdfast"] == ours
    changed = client.beta.agents.update(agent.id, version=1, extra_body={"holdfast": {"limits": {"tokens": None}}})
    assert changed.to_dict()["holdfast"] == {"fallback_models": ["demo-b"]}
    with pytest.raises(anthropic.BadRequestError, match=r"holdfast\.limits\.stepz"):
        client.beta.agents.create(name="Wrong", model="demo", extra_body={"holdfast": {"limits": {"stepz": 1}}})


@pytest.mark.parametrize(
    ("limit", "setting"),
    [
        ({"concurrent_sessions": 2}, "LIMIT_CONCURRENT_SESSIONS"),
        ({"list_cost_per_day": DOLLAR}, "LIMIT_DOLLARS_PER_DAY"),
    ],
)
def test_a_limit_that_only_workspaces_have_says_where_it_is_set(
    client: anthropic.Anthropic, begin: Callable[..., Talk], limit: dict[str, Any], setting: str
) -> None:
    talk = begin()
    sent: Any = {"holdfast": {"limits": limit}}
    told = rf"holdfast\.limits: {next(iter(limit))} bounds all sessions .* POST /v1/x/limits, .* {setting}"
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.beta.agents.create(name="Wrong", model="demo", extra_body=sent)
    assert re.search(told, str(caught.value.body))
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.beta.sessions.update(talk.id, extra_body=sent)
    assert re.search(told, str(caught.value.body))


def test_a_chain_of_models_names_each_once_and_not_the_agent_s_own(client: anthropic.Anthropic) -> None:
    def chain(*names: str) -> Any:
        return {"holdfast": {"fallback_models": list(names)}}

    own, twice = r"holdfast\.fallback_models: demo is the agent's own model", r"demo-b is named twice"
    with pytest.raises(anthropic.BadRequestError, match=own):
        client.beta.agents.create(name="Wrong", model="demo", extra_body=chain("demo-b", "demo"))
    with pytest.raises(anthropic.BadRequestError, match=twice):
        client.beta.agents.create(name="Wrong", model="demo", extra_body=chain("demo-b", "demo-b"))
    agent = client.beta.agents.create(name="Chained", model="demo-a", extra_body=chain("demo-b", "demo"))
    with pytest.raises(anthropic.BadRequestError, match=own):
        client.beta.agents.update(agent.id, version=1, model="demo")
    changed = client.beta.agents.update(agent.id, version=1, model="demo", extra_body=chain("demo-b"))
    assert changed.model.id == "demo"


def test_the_workspace_s_limits_have_their_own_address(client: anthropic.Anthropic, begin: Callable[..., Talk]) -> None:
    talk = begin()
    sent: Any = {"limits": {"model_requests": 1}}
    try:
        assert client.post("/v1/x/limits", body=sent, cast_to=object) == {
            **client.get("/v1/x/limits", cast_to=dict),
            **sent,
        }
        events = talk.says("[[demo: steps=3]]")
        assert events[-1].stop_reason.to_dict()["holdfast"]["level"] == "workspace"
        overview: Any = client.get(f"/v1/x/sessions/{talk.id}/limits", cast_to=object)
        assert overview["effective"]["model_requests"] == {"limit": 1, "level": "workspace", "used": 1}
    finally:
        client.post("/v1/x/limits", body={"limits": None}, cast_to=object)
    wait_for(lambda: talk.retrieve().status == "idle", 60, "it did not go on")
    assert said(all_of(talk.log(), "agent.tool_result")[-1])
