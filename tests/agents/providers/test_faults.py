"""Every way a model request can fail, against a peer of raw sockets, and what we make of it."""

from __future__ import annotations

import pytest

from agents.providers.anthropic import AnthropicProvider
from agents.providers.base import ProviderError
from tests.agents.providers import peer
from tests.agents.providers.asking import HI, KEY, failure, never
from tests.agents.providers.peer import Peer, Script

BAD = "invalid_request_error"
TEXT = peer.text_block(0, "x")
FAULTS: list[tuple[Script, str, bool]] = [
    (peer.error(400, BAD, "messages: wrong"), "request_failed", False),
    (peer.error(400, BAD, "prompt is too long: 9 tokens > 8 maximum"), "context_exceeded", False),
    (peer.error(400, "exceed_context_size_error", "exceeds the available context size"), "context_exceeded", False),
    (peer.error(400, BAD, "Your credit balance is too low"), "billing", False),
    (peer.error(401, "authentication_error", "invalid x-api-key"), "authentication", False),
    (peer.error(402, "billing_error", "out of credits"), "billing", False),
    (peer.error(403, "permission_error", "no"), "authentication", False),
    (peer.error(404, "not_found_error", "model: x"), "request_failed", False),
    (peer.error(408, "timeout_error", "slow"), "request_failed", True),
    (peer.error(409, "conflict_error", "busy"), "request_failed", True),
    (peer.error(413, "request_too_large", "too large"), "context_exceeded", False),
    (peer.error(429, "rate_limit_error", "slow down"), "rate_limited", True),
    (peer.error(500, "api_error", "oops"), "request_failed", True),
    (peer.error(503, "overloaded_error", "away"), "overloaded", True),
    (peer.answer(503, "away"), "overloaded", True),
    (peer.error(504, "timeout_error", "late"), "request_failed", True),
    (peer.error(529, "overloaded_error", "Overloaded"), "overloaded", True),
    (peer.answer(502, "<html>bad gateway</html>"), "request_failed", True),
    (peer.answer(301, "", location="http://127.0.0.1:9/"), "request_failed", False),
    (peer.error(500, "api_error", "never again", x_should_retry="false"), "request_failed", False),
    (peer.stream({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}), "overloaded", True),
    (
        peer.stream({"type": "error", "error": {"type": BAD, "message": "prompt is too long"}}),
        "context_exceeded",
        False,
    ),
    (peer.stream(b"event: error\ndata: no json\n\n"), "request_failed", True),
    (peer.stream(peer.started(), *TEXT, "end"), "request_failed", True),
    (peer.stream(peer.started(), *TEXT, *peer.finished(None), "end"), "request_failed", True),
    (peer.stream(peer.started(), *TEXT, "reset"), "request_failed", True),
    (peer.stream(peer.started(), b'event: x\ndata: {"broken\n\n', "end"), "request_failed", True),
    (peer.stream(peer.started(), b"event: x\ndata: [1]\n\n", "end"), "request_failed", True),
    (peer.stream({"type": "content_block_delta", "index": 4, "delta": {}}, "end"), "request_failed", True),
    (peer.stream({"type": "content_block_start", "index": "x"}, "end"), "request_failed", True),
    (peer.stream(*peer.block(0, {"type": "text", "text": ""}, {"type": "text_delta"})), "request_failed", True),
    (("reset",), "request_failed", True),
    ((b"not http at all\r\n\r\n",), "request_failed", True),
    (peer.stream(*TEXT, *peer.finished("model_context_window_exceeded"), "end"), "context_exceeded", False),
]


@pytest.mark.parametrize(("script", "kind", "retryable"), FAULTS)
def test_every_fault_is_classified(script: Script, kind: str, retryable: bool) -> None:
    error = failure(script)
    assert (error.kind, error.retryable) == (kind, retryable)


def test_a_stream_that_stays_silent_ends_in_a_time_out() -> None:
    error = failure(peer.stream(peer.started(), "stall"), read_timeout=0.5)
    assert (error.kind, error.retryable) == ("request_failed", True)
    assert "in time" in error.message


def test_nobody_at_the_address_is_a_failure_worth_retrying() -> None:
    with Peer() as gone:
        address = gone.url
    with pytest.raises(ProviderError) as caught:
        AnthropicProvider(base_url=address, api_key=KEY, retries=0).stream(HI, lambda _: None, never)
    assert caught.value.retryable


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/", "http://127.0.0.1:notaport"])
def test_an_address_that_is_no_url_is_a_failure_not_worth_retrying(address: str) -> None:
    with pytest.raises(ProviderError) as caught:
        AnthropicProvider(base_url=address, api_key=KEY, retries=0).stream(HI, lambda _: None, never)
    assert not caught.value.retryable


@pytest.mark.parametrize("headers", [{"retry_after": "7"}, {"retry_after_ms": "7000"}])
def test_the_servers_wish_to_wait_is_passed_on(headers: dict[str, str]) -> None:
    assert failure(peer.error(429, "rate_limit_error", "x", **headers)).retry_after == 7.0


@pytest.mark.parametrize("said", ["nan", "inf", "-inf", "1e999", "soon", "", "Wed, 21 Oct 99999999 07:28:00 GMT"])
def test_a_wish_that_is_no_time_counts_as_none(said: str) -> None:
    assert failure(peer.error(429, "rate_limit_error", "x", retry_after=said)).retry_after is None


def test_the_key_is_cut_out_of_what_the_server_says() -> None:
    error = failure(peer.error(401, "authentication_error", f"invalid key {KEY} given" + "x" * 5_000))
    assert KEY not in error.message
    assert len(error.message) <= 500
