"""An operator's pause: between two steps, with nothing lost, and messages that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from tests.sdk.talk import all_of, only, said, text, until_idle

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sdk.talk import Talk


def post(talk: Talk, what: str) -> None:
    talk.client.post(f"/v1/x/sessions/{talk.id}/{what}", cast_to=object)


def test_a_paused_session_ends_its_step_waits_and_goes_on_where_it_was(begin: Callable[..., Talk]) -> None:
    talk = begin()
    task = "run `sleep 1; echo f-irst`, run `echo s-econd`"
    events = talk.says(task, on=Once(lambda: post(talk, "pause")))
    assert "f-irst" in said(only(events, "agent.tool_result"))
    stopped = events[-1].stop_reason
    assert (stopped.type, stopped.event_ids) == ("requires_action", [])
    assert stopped.to_dict()["holdfast"]["paused"]["by"]
    assert talk.retrieve().status == "idle"
    rest = resumed(talk)
    assert "s-econd" in said(only(rest, "agent.tool_result"))
    assert rest[-1].stop_reason.type == "end_turn"


def resumed(talk: Talk) -> list[Any]:
    with talk.watching() as stream:
        post(talk, "resume")
        return until_idle(stream)


def test_a_message_to_a_paused_session_waits_with_it(begin: Callable[..., Talk]) -> None:
    talk = begin()
    talk.says("run `sleep 1; echo f-irst`, run `echo s-econd`", on=Once(lambda: post(talk, "pause")))
    held = talk.turn(text("run `echo t-hird`"))
    assert not all_of(held, "span.model_request_start")
    assert "t-hird" in said(all_of(resumed(talk), "agent.tool_result")[-1])


class Once:
    """Acts at the first call of a tool."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act: Callable[[], None] | None = act

    def __call__(self, event: Any) -> None:
        if event.type == "agent.tool_use" and self.act is not None:
            act, self.act = self.act, None
            act()


def test_a_session_that_rests_is_not_paused_and_one_that_is_not_held_not_resumed(begin: Callable[..., Talk]) -> None:
    talk = begin()
    talk.says("say `hello`")
    for what, complaint in (("pause", "rests already"), ("resume", "is not paused")):
        with pytest.raises(anthropic.BadRequestError, match=complaint):
            post(talk, what)
