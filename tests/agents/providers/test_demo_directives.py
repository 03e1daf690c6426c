"""Each behaviour that a message can ask for, seen through the provider."""

from __future__ import annotations

import base64
import itertools
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agents.providers import pacing
from agents.providers.base import ProviderError, TurnInterrupted
from agents.providers.demo.directives import GUIDE
from agents.providers.demo.provider import demo_provider
from tests.agents.providers.talk import BASH, SEND, WEATHER, WRITE, Talk, calls, commands, refused, text

if TYPE_CHECKING:
    from agents.providers.anthropic import AnthropicProvider
    from agents.providers.base import ModelReply


def test_steps_makes_that_many_calls_one_a_reply(demo: AnthropicProvider) -> None:
    replies = Talk(demo, BASH).say("[[demo: steps=60]]").turn()
    assert commands(replies) == [f"echo step {n} of 60" for n in range(1, 61)]
    assert "60 steps, all done" in text(replies[-1])


def test_steps_without_a_number_are_sixty_and_use_whatever_tool_there_is(demo: AnthropicProvider) -> None:
    replies = Talk(demo, WEATHER).say("[[demo: steps]]").turn()
    assert len(replies) == 61
    assert calls(replies[0])[0]["input"] == {
        "city": "demo", "unit": "celsius", "days": 2, "where": {"x": 1}, "tags": ["demo"], "note": "demo",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["steps", "parallel", "badjson", "badargs", "loop", "pingpong", "delegate", "mcp", "custom", "ask"]
)
def test_a_behaviour_that_needs_a_tool_says_so_when_there_is_none(demo: AnthropicProvider, name: str) -> None:
    (reply,) = Talk(demo).say(f"[[demo: {name}]]").turn()
    assert reply.stop_reason == "end_turn"
    assert "none is offered" in text(reply)


def test_parallel_makes_all_calls_in_one_reply_and_the_last_one_fails(demo: AnthropicProvider) -> None:
    def run(call: dict[str, Any]) -> tuple[str, bool]:
        return "out", "exit 3" in call["input"]["command"]

    replies = Talk(demo, BASH).say("[[demo: parallel=4]]").turn(run)
    assert [len(calls(reply)) for reply in replies] == [4, 0]
    assert "3 done, 1 failed" in text(replies[-1])


def test_thinking_must_come_back_unchanged(either: AnthropicProvider) -> None:
    talk = Talk(either, BASH).say("[[demo: think steps=1]]")
    reply = talk.once()
    assert [block["type"] for block in reply.content] == ["thinking", "redacted_thinking", "text", "tool_use"]
    assert talk.parts[0].kind == "thinking_started"
    talk.answer(reply)
    assert talk.once().stop_reason == "end_turn"
    for name, value in (("thinking", "changed"), ("signature", "demo.changed"), ("data", "demo.changed")):
        changed = json.loads(json.dumps(talk.messages[:3]))
        for block in changed[1]["content"]:
            if name in block:
                block[name] = value
        with pytest.raises(ProviderError, match="Invalid `signature`"):
            other = Talk(either, BASH)
            other.messages = changed
            other.once()


def test_huge_asks_the_shell_for_that_much_output(demo: AnthropicProvider) -> None:
    replies = Talk(demo, BASH).say("[[demo: huge=123456]]").turn(lambda _: ("x" * 123_456, False))
    assert commands(replies) == ["yes 'demo output' | head -c 123456"]
    assert "123456 characters" in text(replies[-1])


@pytest.mark.parametrize("directive", ["huge=100000", "hugetext=100000"])
def test_huge_text_is_exactly_that_long_in_a_bounded_number_of_pieces(demo: AnthropicProvider, directive: str) -> None:
    talk = Talk(demo, max_tokens=60_000).say(f"[[demo: {directive}]]")
    (reply,) = talk.turn()
    assert len(text(reply)) == 100_000
    assert len(talk.parts) <= 402


def test_a_text_ends_where_max_tokens_ends_it(demo: AnthropicProvider) -> None:
    (reply,) = Talk(demo, max_tokens=10).say("[[demo: hugetext=1000]]").turn()
    assert (reply.stop_reason, len(text(reply))) == ("max_tokens", 40)


def test_a_refusal_has_details_and_no_content(demo: AnthropicProvider) -> None:
    (reply,) = Talk(demo).say("[[demo: refusal]]").turn()
    assert (reply.stop_reason, reply.content) == ("refusal", [])
    assert reply.stop_details is not None
    assert reply.stop_details["type"] == "refusal"


def test_max_tokens_cuts_a_text_or_a_call(demo: AnthropicProvider) -> None:
    (reply,) = Talk(demo, BASH).say("[[demo: max_tokens]]").turn()
    assert (reply.stop_reason, calls(reply)) == ("max_tokens", [])
    (cut,) = Talk(demo, BASH).say("[[demo: max_tokens=tool]]").turn()
    (call,) = calls(cut)
    assert (cut.stop_reason, call["input"], list(cut.broken_inputs)) == ("max_tokens", {}, [call["id"]])


def test_a_paused_turn_goes_on_when_it_is_sent_back(demo: AnthropicProvider) -> None:
    talk = Talk(demo).say("[[demo: pause_turn]]")
    assert talk.once().stop_reason == "pause_turn"
    assert talk.once().stop_reason == "end_turn"


def test_bad_calls_are_made_once_and_then_reported(demo: AnthropicProvider) -> None:
    replies = Talk(demo, BASH).say("[[demo: badjson]]").turn(refused)
    assert list(replies[0].broken_inputs) == [calls(replies[0])[0]["id"]]
    assert "0 done, 1 failed" in text(replies[-1])
    replies = Talk(demo, BASH).say("[[demo: badargs]]").turn(refused)
    assert calls(replies[0])[0]["input"] == {"command": {"not": ["what", "was", "asked"]}}
    assert "1 failed" in text(replies[-1])
    replies = Talk(demo, BASH).say("[[demo: badtool]]").turn(refused)
    assert calls(replies[0])[0]["name"] == "no_such_tool"
    assert "1 failed" in text(replies[-1])


def test_loop_and_pingpong_never_end_by_themselves(demo: AnthropicProvider) -> None:
    replies = Talk(demo, BASH).say("[[demo: loop]]").turn(limit=30)
    assert (len(replies), len(set(commands(replies)))) == (30, 1)
    replies = Talk(demo, BASH).say("[[demo: pingpong]]").turn(limit=30)
    assert commands(replies) == ["echo ping", "echo pong"] * 15


def test_delegate_hands_the_rest_of_the_message_over(demo: AnthropicProvider) -> None:
    replies = Talk(demo, BASH, SEND).say("[[demo: delegate=worker child=refusal]] write a.txt").turn()
    assert calls(replies[0])[0]["input"] == {"agent": "worker", "message": "[[demo: refusal]] write a.txt"}
    assert text(replies[-1]).startswith("Demo")


def test_verdicts_of_the_rubric(demo: AnthropicProvider) -> None:
    def verdict(directive: str) -> str:
        (reply,) = Talk(demo).say(f"[[demo: rubric={directive}]]").turn()
        return str(json.loads(text(reply))["result"])

    assert [verdict("needs_revisionx2") for _ in range(4)] == ["needs_revision"] * 2 + ["satisfied", "needs_revision"]
    assert [verdict("satisfied"), verdict("failed"), verdict("failed")] == ["satisfied", "failed", "failed"]


def test_mcp_custom_and_ask_call_the_tool_of_their_kind(demo: AnthropicProvider) -> None:
    mcp = {**BASH, "name": "mcp__files__list"}
    for directive, name in (
        ("mcp", "mcp__files__list"),
        ("custom", "get_weather"),
        ("ask", "bash"),
        ("ask=write", "write"),
    ):
        replies = Talk(demo, WRITE, BASH, mcp, WEATHER).say(f"[[demo: {directive}]]").turn(refused)
        assert [call["name"] for call in calls(replies[0])] == [name]
        assert "went wrong" in text(replies[-1])


def test_help_names_every_directive(demo: AnthropicProvider) -> None:
    (reply,) = Talk(demo).say("[[demo: help]]").turn()
    assert all(name in text(reply) for name in GUIDE)
    written = (Path(__file__).parents[3] / "docs" / "demo.md").read_text()
    assert [name for name in GUIDE if name not in written] == []


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (429, "rate_limited", True), (529, "overloaded", True), (500, "request_failed", True),
        (503, "request_failed", True), (401, "authentication", False), (402, "billing", False),
        (404, "request_failed", False),
    ],
)  # fmt: skip
def test_fail_answers_with_the_status_that_many_times(
    either: AnthropicProvider, status: int, kind: str, retryable: bool
) -> None:
    talk = Talk(either).say(f"[[demo: fail={status}x2]] say `done`")
    for _ in range(2):
        with pytest.raises(ProviderError) as caught:
            talk.once()
        assert (caught.value.kind, caught.value.retryable) == (kind, retryable)
        assert caught.value.retry_after == (1.0 if status == 429 else None)
    assert text(talk.once()) == "done"


def test_fail_can_name_the_wait_and_never_stop(demo: AnthropicProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "LONGEST_HOLD_SECONDS", 0.0)  # ask again at once, without the wait that was named
    talk = Talk(demo).say("[[demo: fail=529xall after=12.5]]")
    for _ in range(5):
        with pytest.raises(ProviderError) as caught:
            talk.once()
        assert caught.value.retry_after == 12.5


def test_a_fault_can_wait_for_a_later_reply(demo: AnthropicProvider) -> None:
    talk = Talk(demo, BASH).say("[[demo: steps=3 drop at=2]]")
    talk.answer(talk.once())
    with pytest.raises(ProviderError):
        talk.once()
    assert [len(calls(reply)) for reply in talk.turn()] == [1, 1, 0]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("drop", "request_failed"),
        ("silent", "request_failed"),
        ("evterror", "overloaded"),
        ("corrupt", "request_failed"),
    ],
)
def test_a_stream_breaks_once_and_is_whole_when_asked_again(either: AnthropicProvider, fault: str, kind: str) -> None:
    talk = Talk(either).say(f"[[demo: {fault}]] say `whole again`")
    with pytest.raises(ProviderError) as caught:
        talk.once()
    assert (caught.value.kind, caught.value.retryable) == (kind, True)
    assert text(talk.once()) == "whole again"


def test_a_stream_can_break_twice_or_always(demo: AnthropicProvider) -> None:
    def broken(directive: str) -> list[bool]:
        talk = Talk(demo).say(f"[[demo: {directive}]] say `x`")
        return [_fails(talk) for _ in range(4)]

    assert broken("drop=2") == [True, True, False, True]
    assert broken("drop=all") == [True] * 4


def test_a_stall_ends_in_a_time_out() -> None:
    talk = Talk(demo_provider(read_timeout=0.3)).say("[[demo: stall]] say `awake`")
    with pytest.raises(ProviderError, match="in time"):
        talk.once()
    assert text(talk.once()) == "awake"


@pytest.mark.parametrize("directive", ["stall", "slow=5000"])
def test_an_interrupt_ends_a_stall_and_a_slow_text(either: AnthropicProvider, directive: str) -> None:
    begun = threading.Event()
    request = Talk(either).say(f"[[demo: {directive}]] tell me everything").request()
    with pytest.raises(TurnInterrupted):
        either.stream(request, lambda _: begun.set(), begun.is_set)


def test_slow_only_delays(demo: AnthropicProvider) -> None:
    assert text(Talk(demo).say("[[demo: slow=1]] say `a b c`").once()) == "a b c"


@pytest.mark.parametrize("directive", ["ctx", "ctx=stop"])
def test_the_context_is_exceeded_once(either: AnthropicProvider, directive: str) -> None:
    talk = Talk(either).say(f"[[demo: {directive}]] say `compacted`")
    with pytest.raises(ProviderError) as caught:
        talk.once()
    assert (caught.value.kind, caught.value.retryable) == ("context_exceeded", False)
    assert either.compact(talk.request(), lambda part: None, lambda: False) is not None
    talk.messages.insert(0, {"role": "user", "content": "a summary of what went before"})
    assert text(talk.once()) == "compacted"


def test_a_large_pdf_counts_as_a_prompt_of_ordinary_length(demo: AnthropicProvider) -> None:
    data = base64.b64encode(bytes(2_000_000)).decode()
    source = {"type": "base64", "media_type": "application/pdf", "data": data}
    content = [{"type": "document", "source": source}, {"type": "text", "text": "say `read`"}]
    talk = Talk(demo)
    talk.messages.append({"role": "user", "content": content})
    reply = talk.once()
    assert text(reply) == "read"
    usage = reply.usage
    assert usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens < 3_000


def test_the_context_can_have_a_size(demo: AnthropicProvider) -> None:
    talk = Talk(demo).say("x" * 4_000).say("[[demo: ctx=500]] say `fits`")
    with pytest.raises(ProviderError, match=r"prompt is too long: 10\d\d tokens > 500 maximum"):
        talk.once()
    del talk.messages[0]
    assert text(talk.once()) == "fits"


def test_another_model_is_answered_for_and_not_impersonated(demo: AnthropicProvider) -> None:
    reply = Talk(demo, model="claude-opus-5-5").say("say `hello`").once()
    assert reply.model == "demo"
    assert text(reply).startswith("Demo (rule-driven, no AI) answers in place of claude-opus-5-5")


def test_cached_prefixes_are_read_and_a_changed_prefix_is_not(demo: AnthropicProvider) -> None:
    talk = Talk(demo, BASH, system="be brief").say("[[demo: steps=3]]")
    replies = talk.turn()
    usages = [reply.usage for reply in replies]
    assert usages[0].cache_read_input_tokens == 0
    for before, after in itertools.pairwise(usages):
        assert after.cache_read_input_tokens == before.cache_read_input_tokens + before.cache_creation_input_tokens
        assert after.cache_creation_5m == after.cache_creation_input_tokens > 0
    talk.options["system"] = "be brief!"
    assert _again(talk).usage.cache_read_input_tokens == 0
    talk.options["system"] = "be brief"
    assert _again(talk).usage.cache_read_input_tokens > 0


def _again(talk: Talk) -> ModelReply:
    return talk.provider.stream(talk.request(), lambda _: None, lambda: False)


def _fails(talk: Talk) -> bool:
    try:
        _again(talk)
    except ProviderError:
        return True
    return False
