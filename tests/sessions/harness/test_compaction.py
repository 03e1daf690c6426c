"""Long conversations: summaries, by the server or by us, and a prefix that the provider's cache keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agents.providers.base import ModelReply, ModelRequest, OnPart, ProviderError, ShouldStop, Usage
from sessions import events as ev
from sessions import log
from sessions.harness import compaction
from tests.sessions.harness.test_loop import Gossip, ask
from tests.sessions.harness.test_read_log import reader
from tests.sessions.rows import make_session

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]

STEPS = 40


class Forgetful(Gossip):
    """Remembers a few messages only: a longer prompt is refused, a request for a summary is answered."""

    def __init__(self, longest: int) -> None:
        super().__init__(None)
        self.longest = longest

    def stream(self, request: ModelRequest, on_part: OnPart, should_stop: ShouldStop) -> ModelReply:
        self.requests.append(request)
        if len(request.messages) > self.longest:
            raise ProviderError("context_exceeded", "prompt is too long", retryable=False)
        text = "they said hello" if "<conversation>" in request.messages[0]["content"][0]["text"] else "done"
        return ModelReply("demo", [{"type": "text", "text": text}], "end_turn", Usage(10, 5))


@pytest.mark.proves("agent.thread_context_compacted")
def test_a_conversation_that_grew_too_long_goes_on_from_a_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    session, thread = make_session()
    forgetful = Forgetful(longest=3)
    monkeypatch.setattr("sessions.harness.spec.provider", lambda *_: forgetful)
    ask(session, thread, "hello")
    ask(session, thread, "again")
    found = ask(session, thread, "exactly these words")
    assert found.count(ev.COMPACTED) == 1
    assert found.count(ev.MODEL_START) == found.count(ev.MODEL_END) == 5
    (message,) = forgetful.requests[-1].messages
    summary, said = [block["text"] for block in message["content"]]
    assert "they said hello" in summary
    assert said == "exactly these words"
    assert session.stop_reason == ev.END_TURN
    assert "they said hello" not in str([ev.wire(event) for event in log.read(session.id)])


def test_a_prompt_beyond_the_setting_is_summarised_by_the_server_that_can(settings: Any) -> None:
    settings.HOLDFAST_COMPACT_AT_TOKENS = 1
    session, thread = make_session()
    ask(session, thread, "hello")
    found = ask(session, thread, "again")
    assert found.count(ev.COMPACTED) == 1
    entry = next(event for event in log.read(session.id) if event.type == ev.COMPACTED)
    assert (entry.private or {})["block"]["type"] == "compaction"
    assert "block" not in str(ev.wire(entry))
    assert session.stop_reason == ev.END_TURN


def test_a_prompt_that_never_fits_ends_with_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    session, thread = make_session()

    class Narrow(Forgetful):
        def stream(self, request: ModelRequest, on_part: OnPart, should_stop: ShouldStop) -> ModelReply:
            if "<conversation>" not in request.messages[0]["content"][0]["text"]:
                raise ProviderError("context_exceeded", "prompt is too long", retryable=False)
            return super().stream(request, on_part, should_stop)

    narrow = Narrow(longest=3)
    monkeypatch.setattr("sessions.harness.spec.provider", lambda *_: narrow)
    found = ask(session, thread, "hello")
    assert found.count(ev.COMPACTED) == 3
    error = next(event for event in log.read(session.id) if event.type == ev.SESSION_ERROR).payload["error"]
    assert error["type"] == "compaction_limit_reached_error"
    assert session.stop_reason == ev.RETRIES_EXHAUSTED


class Scripted(Forgetful):
    """Finds every prompt too long but a summary; answers requests for one by the script, which the last line ends."""

    def __init__(self, *script: str | ProviderError) -> None:
        super().__init__(longest=9)
        self.script = list(script)

    @property
    def asked(self) -> list[int]:
        """How long the conversations were of which summaries were asked for."""
        firsts = [request.messages[0]["content"][0]["text"] for request in self.requests]
        return [len(text) for text in firsts if "<conversation>" in text]

    def stream(self, request: ModelRequest, on_part: OnPart, should_stop: ShouldStop) -> ModelReply:
        first = request.messages[0]["content"][0]["text"]
        if "<conversation>" not in first:
            if "<conversation-summary>" not in first:
                raise TOO_LONG
            return super().stream(request, on_part, should_stop)
        self.requests.append(request)
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(said, ProviderError):
            raise said
        return ModelReply("demo", [{"type": "text", "text": said}], "end_turn", Usage(10, 5))


TOO_LONG = ProviderError("context_exceeded", "prompt is too long", retryable=False)


def scripted(monkeypatch: pytest.MonkeyPatch, *script: str | ProviderError) -> Scripted:
    made = Scripted(*script)
    monkeypatch.setattr("sessions.harness.spec.provider", lambda *_: made)
    return made


def test_a_model_that_finds_the_request_for_a_summary_too_long_is_not_asked_for_ever(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.HOLDFAST_COMPACT_AT_TOKENS = 4_000
    model = scripted(monkeypatch, TOO_LONG)
    session, thread = make_session()
    found = ask(session, thread, "hello " * 4_000)
    assert len(model.asked) == 3
    assert model.asked[0] > 2 * model.asked[1] > 3 * model.asked[2], "each time it is shown less"
    assert ev.COMPACTED not in found
    error = next(event for event in log.read(session.id) if event.type == ev.SESSION_ERROR).payload["error"]
    assert error["type"] == "compaction_limit_reached_error"
    assert session.stop_reason == ev.RETRIES_EXHAUSTED
    ask(session, thread, "again")
    assert len(model.asked) == 6, "the next message tries again"


def test_a_small_window_gets_a_short_enough_conversation_to_summarise(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, TOO_LONG, "they said hello")
    session, thread = make_session()
    assert ask(session, thread, "hello").count(ev.COMPACTED) == 1
    assert session.stop_reason == ev.END_TURN


def test_an_empty_summary_is_asked_for_again_and_never_replaces_the_conversation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = scripted(monkeypatch, "", "they said hello")
    session, thread = make_session()
    ask(session, thread, "hello")
    assert "they said hello" in str(model.requests[-1].messages)
    assert session.usage["input_tokens"] == 30, "the empty one counts as well"

    model = scripted(monkeypatch, "")
    session, thread = make_session()
    ask(session, thread, "remember the blue door")
    (message,) = model.requests[-1].messages
    assert "[user] remember the blue door" in message["content"][0]["text"]
    assert session.stop_reason == ev.END_TURN


def test_a_summary_that_fails_on_the_way_is_what_the_next_try_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    model = scripted(monkeypatch, ProviderError("request_failed", "broke off", retryable=True), "they said hello")
    session, thread = make_session()
    found = ask(session, thread, "hello")
    assert [len(model.asked), len(model.requests)] == [2, 3], "two for a summary, then the turn"
    assert found.count(ev.COMPACTED) == found.count(ev.STATUS_RESCHEDULED) == 1
    assert session.stop_reason == ev.END_TURN


class Uncounted(Forgetful):
    """Says that a request had no input, as servers do that count nothing."""

    def stream(self, request: ModelRequest, on_part: OnPart, should_stop: ShouldStop) -> ModelReply:
        return replace(super().stream(request, on_part, should_stop), usage=Usage(0, 5))


def test_a_server_that_counts_nothing_has_its_prompts_summarised_all_the_same(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.HOLDFAST_COMPACT_AT_TOKENS = 1_000
    monkeypatch.setattr("sessions.harness.spec.provider", lambda *_: Uncounted(longest=9))
    session, thread = make_session()
    ask(session, thread, "hello " * 300)
    assert ask(session, thread, "again").count(ev.COMPACTED) == 0, "two short messages fit"
    ask(session, thread, "hello " * 600)
    assert ask(session, thread, "again").count(ev.COMPACTED) == 1


def test_only_a_count_that_cannot_be_true_is_doubted() -> None:
    said = [{"role": "user", "content": [{"type": "text", "text": "x" * 40_000}]}]
    assert compaction.tokens(said, Usage(10_000, 5), 40_000) is None
    assert compaction.tokens(said, Usage(0, 5, cache_read_input_tokens=9_000), 40_000) is None
    assert compaction.tokens(said, Usage(50, 5), 40_000) == 10_001 + 5, "with the word that names the block"
    picture = {"type": "image", "source": {"type": "base64", "data": "x" * 400_000}}
    assert compaction.tokens([{"role": "user", "content": [picture]}], Usage(1_500, 5), 400_000) is None


def test_nearly_all_of_a_long_turn_s_prompts_comes_out_of_the_cache() -> None:
    """The demo counts as a provider does: by the hash of every prefix that it has seen."""
    session, thread = reader()
    calls = [f'Use ant__read_log with {{"after": {number}, "limit": 1}}.' for number in range(STEPS)]
    found = ask(session, thread, " ".join(calls))
    assert found.count(ev.TOOL_RESULT) == STEPS
    used = session.usage
    written = used["input_tokens"] + used["cache_creation_5m"] + used["cache_creation_1h"]
    assert used["cache_read_input_tokens"] / (used["cache_read_input_tokens"] + written) > 0.9
