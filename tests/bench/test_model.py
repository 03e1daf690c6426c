"""The bench's model answers as the demo does, after its pause, and notes its idle times."""

from __future__ import annotations

import time

import anthropic
import pytest

from tests.bench import bare, model


def test_a_conversation_has_one_gap_a_step() -> None:
    with model.served() as server:
        bare.converse(bare.client_of(server.url), "[[demo: steps=3]]")
        assert len(server.gaps) == 3


def test_it_thinks_as_long_as_it_is_told_before_each_reply() -> None:
    with model.served() as server:
        server.thinking = 0.2
        begun = time.monotonic()
        bare.converse(bare.client_of(server.url), "[[demo: steps=1]]")
        assert time.monotonic() - begun >= 0.4, "a step and the report are two requests"


def test_a_request_that_the_real_server_would_refuse_is_refused() -> None:
    with model.served() as server:
        client = anthropic.Anthropic(base_url=server.url, api_key="bench", max_retries=0)
        with pytest.raises(anthropic.BadRequestError, match="first message must use the user role"):
            client.messages.create(model="m", max_tokens=9, messages=[{"role": "assistant", "content": "hello"}])
