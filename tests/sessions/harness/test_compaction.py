"""Long conversations: summaries, by the server or by us, and a prefix that the provider's cache keeps."""

from __future__ import annotations

from typing import Any

import pytest

from agents.providers.base import ModelReply, ModelRequest, OnPart, ProviderError, ShouldStop, Usage
from sessions import events as ev
from sessions import log
from tests.sessions.harness.test_loop import Gossip, ask, keeper  # noqa: F401  keeper is a fixture
from tests.sessions.harness.test_read_log import reader
from tests.sessions.rows import make_session

pytestmark = pytest.mark.django_db(transaction=True)

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


def test_nearly_all_of_a_long_turn_s_prompts_comes_out_of_the_cache() -> None:
    """The demo counts as a provider does: by the hash of every prefix that it has seen."""
    session, thread = reader()
    calls = [f'Use ant__read_log with {{"after": {number}, "limit": 1}}.' for number in range(STEPS)]
    found = ask(session, thread, " ".join(calls))
    assert found.count(ev.TOOL_RESULT) == STEPS
    used = session.usage
    written = used["input_tokens"] + used["cache_creation_5m"] + used["cache_creation_1h"]
    assert used["cache_read_input_tokens"] / (used["cache_read_input_tokens"] + written) > 0.9
