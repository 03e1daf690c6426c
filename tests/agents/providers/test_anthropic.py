"""The provider against a peer of raw sockets: replies, faults, degradation, interruption."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from agents.providers import anthropic
from agents.providers.base import ModelReply, ModelRequest, ProviderError, StreamPart, TurnInterrupted
from tests.agents.providers import peer
from tests.agents.providers.asking import HI, KEY, ask, failure, never, provider
from tests.agents.providers.peer import HELLO, Peer, Script

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_text_streams_in_parts_and_comes_back_whole() -> None:
    reply, parts, server = ask(HELLO)
    assert reply.content == [{"type": "text", "text": "hello"}]
    assert (reply.stop_reason, reply.model, reply.request_id) == ("end_turn", "served-model", "req_peer")
    assert parts == [StreamPart("text_started", 0), StreamPart("text", 0, "hel"), StreamPart("text", 0, "lo")]
    assert server.seen[0].line == "POST /v1/messages HTTP/1.1"
    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"


def test_the_request_has_one_cache_mark_and_only_what_was_asked_for() -> None:
    tools = [{"name": "t", "input_schema": {"type": "object"}}]
    request = ModelRequest("m", [{"role": "user", "content": "hi"}], "sys", tools, 99, "low", "fast", "us")
    _, _, server = ask(HELLO, HELLO, request=request)
    assert server.seen[0].body == {
        "model": "m",
        "max_tokens": 99,
        "stream": True,
        "messages": [{"role": "user", "content": "hi"}],
        "system": "sys",
        "tools": tools,
        "inference_geo": "us",
        "cache_control": {"type": "ephemeral"},
        "output_config": {"effort": "low"},
        "speed": "fast",
    }
    assert "fast-mode" in server.seen[0].headers["anthropic-beta"]
    _, _, plain = ask(HELLO)
    assert set(plain.seen[0].body) == {"model", "max_tokens", "stream", "messages", "cache_control"}


def test_thinking_redacted_thinking_and_unknown_fields_come_back_as_they_were_sent() -> None:
    events = [
        peer.started(),
        *peer.block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "let "},
            {"type": "thinking_delta", "thinking": "me"},
            {"type": "signature_delta", "signature": "abc=="},
        ),
        *peer.block(1, {"type": "redacted_thinking", "data": "xyz", "later_field": [1, {"a": None}]}),
        *peer.text_block(2, "ok"),
        *peer.block(
            3,
            {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {}},
            {"type": "input_json_delta", "partial_json": '{"command": '},
            {"type": "input_json_delta", "partial_json": '"ls"}'},
        ),
        *peer.finished("tool_use"),
    ]
    reply, parts, _ = ask(peer.stream(*events, "end"))
    assert reply.content == [
        {"type": "thinking", "thinking": "let me", "signature": "abc=="},
        {"type": "redacted_thinking", "data": "xyz", "later_field": [1, {"a": None}]},
        {"type": "text", "text": "ok"},
        {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": "ls"}},
    ]
    assert [part.kind for part in parts] == ["thinking_started", "thinking_started", "text_started", "text"]
    assert reply.broken_inputs == {}


def test_a_tool_call_without_an_input_field_is_taken_as_local_servers_send_it() -> None:
    call = peer.block(0, {"type": "tool_use", "id": "c1", "name": "now"})
    reply, _, _ = ask(peer.stream(peer.started(), *call, *peer.finished("tool_use"), "end"))
    assert reply.content == [{"type": "tool_use", "id": "c1", "name": "now", "input": {}}]
    assert reply.broken_inputs == {}


@pytest.mark.parametrize("sent", ['{"command": "rm -r', "[1]", '"text"', '{"timeout_ms": NaN}'])
def test_an_input_that_is_no_json_object_is_marked_as_broken(sent: str) -> None:
    start = {"type": "tool_use", "id": "c1", "name": "bash", "input": {}}
    call = peer.block(0, start, {"type": "input_json_delta", "partial_json": sent})
    reply, _, _ = ask(peer.stream(peer.started(), *call, *peer.finished("max_tokens"), "end"))
    assert reply.content[0]["input"] == {}
    assert reply.broken_inputs == {"c1": sent}


def test_an_empty_text_block_is_left_out_because_it_could_not_be_sent_back() -> None:
    events = [peer.started(), *peer.text_block(0), *peer.text_block(1, "x"), *peer.finished(), "end"]
    reply, _, _ = ask(peer.stream(*events))  # type: ignore[arg-type]
    assert reply.content == [{"type": "text", "text": "x"}]


def test_usage_takes_the_last_counts_and_splits_cache_writes() -> None:
    start = peer.started(
        input_tokens=3,
        cache_read_input_tokens=100,
        cache_creation_input_tokens=30,
        cache_creation={"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
        speed="fast",
    )
    reply, _, _ = ask(peer.stream(start, *peer.text_block(0, "x"), *peer.finished(output_tokens=42), "end"))
    usage = reply.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens) == (3, 42, 100)
    assert (usage.cache_creation_input_tokens, usage.cache_creation_5m, usage.cache_creation_1h) == (30, 20, 10)
    assert reply.speed == "fast"


def test_what_a_compaction_cost_is_added_to_the_usage() -> None:
    iterations = [
        "no object",
        {"type": "message", "input_tokens": 10, "output_tokens": 5},
        {"type": "compaction", "input_tokens": 900, "output_tokens": 70, "cache_creation_input_tokens": 8},
    ]
    reply, _, _ = ask(
        peer.stream(peer.started(), *peer.text_block(0, "x"), *peer.finished(iterations=iterations), "end")
    )
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cache_creation_5m) == (910, 75, 8)


def test_a_short_failure_before_the_stream_is_retried_once() -> None:
    reply, _, server = ask(peer.error(500, "api_error", "x", retry_after="0"), HELLO)
    assert reply.stop_reason == "end_turn"
    assert len(server.seen) == 2


@pytest.mark.parametrize("status", [429, 503, 529])
def test_a_server_with_too_much_to_do_is_not_asked_again_behind_the_loop_s_back(status: int) -> None:
    with Peer(peer.error(status, "overloaded_error", "x", retry_after="0"), HELLO) as server:
        with pytest.raises(ProviderError):
            provider(server).stream(HI, lambda _: None, never)
        assert len(server.seen) == 1


def test_a_request_that_took_long_to_fail_is_not_asked_again_behind_the_loop_s_back() -> None:
    with Peer(("stall",), HELLO) as server:
        with pytest.raises(ProviderError):
            provider(server, max_wait=0.5, read_timeout=0.7).stream(HI, lambda _: None, never)
        assert len(server.seen) == 1


def test_what_no_database_can_hold_is_replaced() -> None:
    start = {"type": "tool_use", "id": "c1", "name": "ba\x00sh", "input": {}}
    told = {"type": "input_json_delta", "partial_json": json.dumps({"command": "printf 'a\x00' '\\u0000'"})}
    blocks = [*peer.text_block(0, "one\x00two"), *peer.block(1, start, told)]
    reply, _, _ = ask(peer.stream(peer.started(), *blocks, *peer.finished("tool_use", output_tokens=10**24), "end"))
    text, call = reply.content
    assert text["text"] == "one\ufffdtwo"
    assert (call["name"], call["input"]) == ("ba\ufffdsh", {"command": "printf 'a\ufffd' '\\u0000'"})
    assert reply.usage.output_tokens == 10**9


def test_a_server_that_asks_for_a_long_wait_is_not_waited_for_here() -> None:
    with Peer(peer.error(429, "rate_limit_error", "x", retry_after="4233600"), HELLO) as server:
        with pytest.raises(ProviderError) as caught:
            provider(server).stream(HI, lambda _: None, never)
        assert len(server.seen) == 1
    assert caught.value.retry_after == 4_233_600


def test_a_stream_that_broke_after_the_reader_saw_text_is_not_asked_again_here() -> None:
    with Peer(peer.stream(peer.started(), *peer.text_block(0, "x"), "reset"), HELLO) as server:
        with pytest.raises(ProviderError):
            provider(server).stream(HI, lambda _: None, never)
        assert len(server.seen) == 1


def test_optional_parameters_the_server_refuses_are_dropped_for_good() -> None:
    request = ModelRequest("small", HI.messages, effort="high", speed="fast")
    refusals = (
        peer.error(400, "invalid_request_error", "output_config: Extra inputs are not permitted"),
        peer.error(422, "invalid_request_error", "speed: not supported"),
        peer.error(400, "invalid_request_error", "cache_control: Extra inputs are not permitted"),
    )
    with Peer(*refusals, HELLO, HELLO) as server:
        talk = provider(server)
        talk.stream(request, lambda _: None, never)
        reply = talk.stream(request, lambda _: None, never)
    assert set(server.seen[3].body) == set(server.seen[4].body) == {"model", "max_tokens", "stream", "messages"}
    assert reply.speed == "standard"


def test_the_token_ceiling_of_a_model_is_learned() -> None:
    refusal = peer.error(400, "invalid_request_error", "max_tokens: 16384 > 4096, which is the maximum")
    _, _, server = ask(refusal, HELLO)
    assert [seen.body["max_tokens"] for seen in server.seen] == [16_384, 4_096]


def test_the_inference_geography_is_never_dropped() -> None:
    request = ModelRequest("m", HI.messages, inference_geo="us")
    error = failure(peer.error(400, "invalid_request_error", "inference_geo: not supported"), HELLO, request=request)
    assert not error.retryable


def test_without_a_key_none_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-someone-elses")
    with Peer(HELLO) as server:
        provider(server, api_key=None).stream(HI, lambda _: None, never)
    assert "someone" not in str(server.seen[0].headers)


def test_text_that_is_not_unicode_is_refused_before_it_is_sent() -> None:
    request = ModelRequest("m", [{"role": "user", "content": "\ud800"}])
    assert not failure(HELLO, request=request).retryable


def interrupted(script: Script, when: Callable[[Peer], threading.Event], **options: Any) -> None:
    with Peer(script) as server, pytest.raises(TurnInterrupted):
        provider(server, **options).stream(HI, lambda _: None, when(server).is_set)


def test_an_interrupt_ends_a_stream_that_stalls_in_the_middle() -> None:
    interrupted(peer.stream(peer.started(), *peer.text_block(0, "x"), "stall"), lambda server: server.stalled)


def test_an_interrupt_ends_a_request_that_gets_no_answer() -> None:
    interrupted(("stall",), lambda server: server.stalled)


def test_an_interrupt_ends_the_wait_before_a_retry() -> None:
    asked = threading.Event()
    slow = peer.error(500, "api_error", "x", retry_after="50")
    with Peer(slow, HELLO) as server, pytest.raises(TurnInterrupted):
        provider(server, max_wait=60.0).stream(HI, lambda _: None, lambda: bool(server.seen) or asked.is_set())


def test_an_interrupt_drops_a_turn_whose_text_already_streams() -> None:
    seen = threading.Event()
    with Peer(HELLO) as server, pytest.raises(TurnInterrupted):
        provider(server).stream(HI, lambda part: seen.set(), seen.is_set)


def test_a_failing_stop_question_comes_out_as_itself() -> None:
    def lost() -> bool:
        raise LookupError("the lease is gone")

    with Peer(HELLO) as server, pytest.raises(LookupError, match="lease"):
        provider(server).stream(HI, lambda _: None, lost)


def test_a_failing_reader_is_not_taken_for_a_failing_model() -> None:
    def broken(part: StreamPart) -> None:
        raise ValueError("the reader broke")

    with Peer(HELLO, HELLO) as server:
        with pytest.raises(ValueError, match="the reader broke"):
            provider(server).stream(HI, broken, never)
        assert len(server.seen) == 1


def test_a_connection_is_used_again() -> None:
    with Peer(HELLO, HELLO) as server:
        talk = provider(server)
        talk.stream(HI, lambda _: None, never)
        talk.stream(HI, lambda _: None, never)
        assert len({seen.headers["host"] for seen in server.seen}) == 1
        assert server.connections == 1


def test_many_threads_share_one_provider() -> None:
    replies: list[ModelReply] = []
    with Peer(*[HELLO] * 32) as server:
        talk = provider(server)
        work = [
            threading.Thread(target=lambda: replies.append(talk.stream(HI, lambda _: None, never))) for _ in range(32)
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join(60)
    assert [reply.content for reply in replies] == [[{"type": "text", "text": "hello"}]] * 32


def test_models_are_listed_and_remembered() -> None:
    page = {
        "data": [
            {
                "type": "model",
                "id": "a",
                "display_name": "A",
                "created_at": "2026-01-01T00:00:00Z",
                "max_input_tokens": 9,
            },
            {"type": "model", "id": "b"},
        ],
        "has_more": False,
        "first_id": "a",
        "last_id": "b",
    }
    with Peer(peer.answer(200, page)) as server:
        talk = provider(server)
        listed = talk.models()
        assert talk.models() is listed
    assert [(model.id, model.display_name, model.max_input_tokens) for model in listed] == [
        ("a", "A", 9),
        ("b", "b", None),
    ]


def test_a_server_that_lists_no_models_has_an_empty_list() -> None:
    with Peer(peer.error(404, "not_found_error", "no such page")) as server:
        assert provider(server).models() == []


def test_a_server_that_fails_to_list_its_models_says_so() -> None:
    with Peer(peer.error(401, "authentication_error", "no")) as server, pytest.raises(ProviderError) as caught:
        provider(server).models()
    assert caught.value.kind == "authentication"


def test_a_failure_to_list_models_is_remembered_for_a_short_time(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = {"data": [], "has_more": False, "first_id": None, "last_id": None}
    refused = peer.error(401, "authentication_error", "no")
    with Peer(refused, refused, peer.answer(200, empty)) as server:
        talk, other = provider(server), provider(server)
        for _ in range(3):
            with pytest.raises(ProviderError):
                talk.models()
        assert len(server.seen) == 1
        monkeypatch.setattr(anthropic, "MODELS_FAILED_SECONDS", 0.0)
        with pytest.raises(ProviderError):
            other.models()
        assert (other.models(), len(server.seen)) == ([], 3)
