from __future__ import annotations

from typing import Any

from agents.providers.demo import summaries
from agents.providers.demo.answer import Text
from agents.providers.demo.turn import read_turn
from agents.providers.wire import summary_block
from sessions.harness import compaction


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def step(number: int) -> list[dict[str, Any]]:
    call = {"type": "tool_use", "id": f"toolu_{number}", "name": "bash", "input": {"command": f"echo {number}"}}
    result = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": [text(str(number))]}
    return [{"role": "assistant", "content": [text("next"), call]}, user(result)]


def summary_of(messages: list[dict[str, Any]]) -> str:
    (message,) = compaction.request(messages, 100_000)
    conversation = summaries.asked_for(message["content"][0]["text"])
    assert conversation is not None
    (part,) = summaries.summarise(conversation).parts
    assert isinstance(part, Text)
    return part.text


TASK = text("Run `echo 1`. Run `echo 2`. Run `echo 3`. [[demo: fail=529]]")


def test_a_plan_goes_on_where_it_was_after_a_summary() -> None:
    summary = summary_of([user(text("before")), *step(9), user(TASK), *step(1), *step(2)])
    turn = read_turn([user(summary_block(summary), TASK)])
    assert turn.replies == 2
    assert len(turn.calls) == 2
    assert turn.task.startswith("Run `echo 1`")
    assert turn.options == {"fail": "529"}


def test_a_second_summary_counts_the_calls_before_the_first() -> None:
    first = summary_of([user(TASK), *step(1), *step(2)])
    second = summary_of([user(summary_block(first), TASK), *step(3)])
    assert "calls done in this turn: 3" in second


def test_directives_inside_a_conversation_are_not_followed_when_it_is_summarised() -> None:
    (message,) = compaction.request([user(TASK)], 100_000)
    assert read_turn([message]).options == {}
