"""Asking the provider something while a peer of raw sockets plays its scripts."""

from __future__ import annotations

from typing import Any

import pytest

from agents.providers.anthropic import AnthropicProvider
from agents.providers.base import ModelReply, ModelRequest, ProviderError, StreamPart
from tests.agents.providers.peer import Peer, Script

KEY = "sk-very-secret"
HI = ModelRequest("some-model", [{"role": "user", "content": "hi"}])

_made: list[AnthropicProvider] = []


def never() -> bool:
    return False


def provider(of: Peer, **options: Any) -> AnthropicProvider:
    """A provider for a peer; the fixture ``closed_afterwards`` closes it."""
    made = AnthropicProvider(base_url=of.url, **{"api_key": KEY, "read_timeout": 30.0, **options})
    _made.append(made)
    return made


def close(made: AnthropicProvider) -> None:
    """End the connections that it keeps for its next request."""
    if made._posts is not None:
        made._posts.sdk.close()


def close_all() -> None:
    while _made:
        close(_made.pop())


def ask(*scripts: Script, request: ModelRequest = HI, **options: Any) -> tuple[ModelReply, list[StreamPart], Peer]:
    """One turn: the reply, the parts seen, and the peer with what it was asked."""
    parts: list[StreamPart] = []
    with Peer(*scripts) as server:
        reply = provider(server, **options).stream(request, parts.append, never)
    return reply, parts, server


def failure(*scripts: Script, request: ModelRequest = HI, **options: Any) -> ProviderError:
    """What a turn that must fail fails with; there are no quick retries."""
    with pytest.raises(ProviderError) as caught:
        ask(*scripts, request=request, **{"retries": 0, **options})
    return caught.value
