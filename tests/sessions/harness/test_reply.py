from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from agents import policies
from agents.policies import Grant
from agents.providers.base import ModelReply, StreamPart, Usage
from agents.tools.registry import check_input
from sessions import events as ev
from sessions.harness.preview import Preview
from sessions.harness.reply import BROKEN, CUT_OFF, Ids, Reply
from tests.sessions.rows import CUSTOM

if TYPE_CHECKING:
    from collections.abc import Callable

GRANTS = {
    "bash": Grant("bash", "always_allow"),
    "write": Grant("write", "always_ask"),
    "ask_caller": Grant("ask_caller", None, CUSTOM),
}
NAMES = Ids("sevt_start", "sevt_message", "sevt_thinking")


def drafts(*content: dict[str, Any], stop_reason: str = "tool_use", **more: Any) -> list[Any]:
    numbers = itertools.count()
    reply = Reply(NAMES, lambda: f"sevt_{next(numbers)}", GRANTS, check_input)
    return reply.drafts(ModelReply("m", list(content), stop_reason, Usage(7, 3), **more), "0.01")


def use(name: str, tool_id: str = "toolu_1", **tool_input: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": tool_id, "name": name, "input": tool_input}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def test_one_commit_holds_thinking_text_calls_and_the_end_in_order() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s"}
    found = drafts(thinking, text("Now"), use("bash", command="true"), text("and"), use("ask_caller", "toolu_2"))
    assert [draft.type for draft in found] == [
        ev.AGENT_THINKING,
        ev.AGENT_MESSAGE,
        ev.TOOL_USE,
        ev.CUSTOM_TOOL_USE,
        ev.MODEL_END,
    ]
    assert found[0].payload == {}, "no reader sees the thinking"
    assert found[1].id == "sevt_message"
    assert [block["type"] for block in found[-1].private["blocks"]] == [
        "thinking",
        "text",
        "tool_use",
        "text",
        "tool_use",
    ]


def test_each_call_carries_the_policy_that_judged_it() -> None:
    allowed, asked, unknown, _ = drafts(
        use("bash", command="true"), use("write", file_path="a", content="b"), use("rm")
    )
    assert (allowed.payload["evaluated_permission"], asked.payload["evaluated_permission"]) == ("allow", "ask")
    assert asked.payload["evaluation"] == {"type": "always_ask"}
    assert unknown.payload["evaluated_permission"] == "deny"
    assert "evaluation" not in unknown.payload
    assert unknown.private == {"permission": {"source": "not_enabled"}, "refusal": policies.refusal("rm")}


def test_an_input_that_breaks_its_schema_is_refused_before_anybody_is_asked() -> None:
    call, _ = drafts(use("write", file_path=7))
    assert call.payload["evaluated_permission"] == "deny"
    assert "write:" in call.private["refusal"]


def test_a_call_cut_off_by_the_output_limit_is_not_run() -> None:
    first, last, _ = drafts(
        use("bash", command="true"), use("bash", "toolu_2", command="rm -rf"), stop_reason="max_tokens"
    )
    assert "refusal" not in (first.private or {})
    assert last.private["refusal"] == CUT_OFF


def test_a_call_whose_input_was_no_json_is_not_run_even_by_its_client() -> None:
    call, _ = drafts(use("ask_caller"), broken_inputs={"toolu_1": '{"quest'})
    assert call.type == ev.TOOL_USE
    assert call.private["refusal"] == BROKEN


def test_blank_text_is_not_logged() -> None:
    assert [draft.type for draft in drafts(text(" \n"), stop_reason="end_turn")] == [ev.MODEL_END]


def published(monkeypatch: Any, *, heard: bool) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    unanswered: list[Callable[[int], None]] = []

    def publish(session_id: str, thread_id: str, frame: dict[str, Any], told: Callable[[int], None] | None) -> None:
        sent.append(frame)
        if told is not None:
            unanswered.append(told)

    def answered(session_id: str) -> None:
        while unanswered:
            unanswered.pop()(int(heard))

    monkeypatch.setattr("sessions.nudges.publish_delta", publish)
    monkeypatch.setattr("sessions.nudges.answered", answered)
    return sent


def test_a_text_whose_beginning_nobody_heard_is_not_sent_on(monkeypatch: Any) -> None:
    sent = published(monkeypatch, heard=False)
    preview = Preview("sesn_1", "sthr_1", NAMES)
    for words in ("Hel", "lo"):
        preview.part(StreamPart("text", 0, words))
    preview.flush()
    assert [frame["type"] for frame in sent] == ["event_start"]


def test_a_text_of_a_session_that_nobody_reads_is_not_begun(monkeypatch: Any) -> None:
    sent = published(monkeypatch, heard=False)
    monkeypatch.setattr("sessions.nudges.is_unread", lambda session_id: session_id == "sesn_1")
    preview = Preview("sesn_1", "sthr_1", NAMES)
    preview.part(StreamPart("thinking_started", 0))
    preview.part(StreamPart("text", 1, "Hello"))
    preview.flush()
    assert sent == []
    assert preview.first_token_ms is not None


def test_previews_number_text_blocks_as_the_log_will(monkeypatch: Any) -> None:
    sent = published(monkeypatch, heard=True)
    preview = Preview("sesn_1", "sthr_1", NAMES)
    parts = [(0, " "), (2, "Hel"), (2, "lo"), (4, "there")]
    preview.part(StreamPart("thinking_started", 1))
    for index, words in parts:
        preview.part(StreamPart("text", index, words))
    preview.flush()
    starts = [frame["event"]["id"] for frame in sent if frame["type"] == "event_start"]
    assert starts == ["sevt_thinking", "sevt_message"]
    shown: dict[int, str] = {}
    for frame in sent:
        if frame["type"] == "event_delta":
            index = frame["delta"]["index"]
            shown[index] = shown.get(index, "") + frame["delta"]["content"]["text"]
    assert shown == {0: "Hello", 1: "there"}
