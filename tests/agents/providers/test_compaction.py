"""A conversation summarised by the model's server, where the server does that, and found out where it doesn't."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from anthropic.types.beta import BetaCompactionBlock

from agents.providers.base import ModelRequest, ProviderError
from agents.providers.demo.validate import Refused, validate
from agents.providers.wire import COMPACTION_BETA
from tests.agents.providers import peer
from tests.agents.providers.asking import never, provider
from tests.agents.providers.peer import HELLO, Peer
from tests.agents.providers.test_demo_summaries import step, text, user

if TYPE_CHECKING:
    from agents.providers.anthropic import AnthropicProvider

TASK = text("Run `echo 1`. Run `echo 2`. Run `echo 3`.")
LONG = ModelRequest("some-model", [user(TASK), *step(1), *step(2)])
BLOCK: dict[str, Any] = {"type": "compaction", "content": "They said hello.", "encrypted_content": "opaque"}
GONE_ON = [{"role": "assistant", "content": [BLOCK]}, user(text("go on"))]
REFUSAL = peer.error(400, "invalid_request_error", "compaction: Extra inputs are not permitted")


def test_the_server_summarises_and_the_work_goes_on_from_its_block(either: AnthropicProvider) -> None:
    request = replace(LONG, model="demo")
    reply = either.compact(request, lambda part: None, never)
    assert reply is not None
    assert reply.stop_reason == "compaction"
    (block,) = reply.content
    assert "calls done in this turn: 2" in str(BetaCompactionBlock.model_validate(block).content)
    assert reply.usage.input_tokens + reply.usage.cache_creation_input_tokens > 0
    going_on = [{"role": "assistant", "content": [block]}, user(TASK)]
    tools = [{"name": "bash", "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}}]
    after = either.stream(replace(request, messages=going_on, tools=tools), lambda part: None, never)
    assert [part["input"] for part in after.content if part["type"] == "tool_use"] == [{"command": "echo 3"}]


def test_a_block_that_was_changed_is_refused_and_goes_in_words_then(demo: AnthropicProvider) -> None:
    with pytest.raises(Refused, match="encrypted_content"):
        validate({"model": "demo", "max_tokens": 10, "messages": GONE_ON})
    assert demo.stream(replace(LONG, model="demo", messages=GONE_ON), lambda part: None, never).content


def test_a_server_that_refuses_is_asked_once() -> None:
    with Peer(REFUSAL) as server:
        asked = provider(server)
        assert asked.compact(LONG, lambda part: None, never) is None
        assert asked.compact(LONG, lambda part: None, never) is None
    (seen,) = server.seen
    assert seen.body["compaction"] == {"type": "summarize"}
    assert seen.headers["anthropic-beta"] == COMPACTION_BETA


def test_a_server_that_answers_the_conversation_instead_is_asked_once() -> None:
    with Peer(HELLO) as server:
        asked = provider(server)
        reply = asked.compact(LONG, lambda part: None, never)
        assert reply is not None
        assert [block["type"] for block in reply.content] == ["text"]
        assert asked.compact(LONG, lambda part: None, never) is None


def test_a_server_that_does_not_know_the_block_gets_its_words() -> None:
    refusal = peer.error(400, "invalid_request_error", "messages.0.content.0: Input tag 'compaction' is not known")
    with Peer(refusal, HELLO) as server:
        provider(server).stream(replace(LONG, messages=GONE_ON), lambda part: None, never)
    first, second = server.seen
    assert first.body["messages"] == GONE_ON
    (message,) = second.body["messages"]
    assert message["role"] == "user"
    assert "They said hello." in message["content"][0]["text"]
    assert message["content"][1] == text("go on")


def test_a_refusal_that_goes_on_after_the_parameter_was_left_out_ends_the_turn() -> None:
    refusing = [REFUSAL] * 5
    with Peer(*refusing) as server, pytest.raises(ProviderError):
        provider(server).stream(ModelRequest("some-model", GONE_ON[:1]), lambda part: None, never)
    assert len(server.seen) == 2
