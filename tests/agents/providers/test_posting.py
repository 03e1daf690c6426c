"""What is composed from the first request is answered, and fails, as the first."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from agents.providers.base import ProviderError
from agents.providers.posting import Poster
from tests.agents.providers import peer
from tests.agents.providers.asking import HI, failure, never, provider
from tests.agents.providers.peer import Peer, Script
from tests.agents.providers.test_faults import FAULTS

if TYPE_CHECKING:
    import httpx2

    from agents.providers.anthropic import AnthropicProvider

REPLY_PARTS: Any = (peer.started(), *peer.text_block(0, "x"), *peer.finished(), "end")
REPLY = peer.stream(*REPLY_PARTS)


def failing(asking: AnthropicProvider) -> None:
    with pytest.raises(ProviderError):
        asking.stream(HI, lambda part: None, never)


def fault_after_a_reply(script: Script) -> ProviderError:
    with Peer(REPLY, script) as server:
        asking = provider(server, retries=0)
        asking.stream(HI, lambda part: None, never)
        with pytest.raises(ProviderError) as caught:
            asking.stream(HI, lambda part: None, never)
    return caught.value


def test_later_requests_are_the_first_but_for_their_bodies() -> None:
    with Peer(REPLY, REPLY, REPLY) as server:
        asking = provider(server)
        for words in ("hi", "how are you?", "bye"):
            asked = type(HI)(HI.model, [{"role": "user", "content": words}])
            asking.stream(asked, lambda part: None, never)
    heads = [{name: value for name, value in one.headers.items() if name != "content-length"} for one in server.seen]
    assert heads[0] == heads[1] == heads[2]
    assert len({one.line for one in server.seen}) == 1
    assert [one.body["messages"][0]["content"] for one in server.seen] == ["hi", "how are you?", "bye"]


def test_only_the_first_is_composed_by_the_sdk_also_while_it_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    composed: list[str] = []
    first = Poster._first

    def counted(self: Poster, content: bytes, betas: str) -> httpx2.Response:
        composed.append(betas)
        return first(self, content, betas)

    monkeypatch.setattr(Poster, "_first", counted)
    with Peer(("stall",), REPLY, REPLY) as server:
        asking = provider(server, retries=0)
        waiting = threading.Thread(target=failing, args=(asking,), daemon=True)
        waiting.start()
        assert server.stalled.wait(30)
        for _ in range(2):
            asking.stream(HI, lambda part: None, never)
        assert composed == [""]
    waiting.join(30)
    assert server.seen[0].headers == server.seen[1].headers


def test_a_feature_under_beta_is_named_only_where_it_is_used() -> None:
    fast = type(HI)(HI.model, HI.messages, speed="fast")
    with Peer(*[REPLY] * 4) as server:
        asking = provider(server)
        for asked in (HI, fast, HI, fast):
            asking.stream(asked, lambda part: None, never)
    named = [one.headers.get("anthropic-beta") for one in server.seen]
    assert named[0] == named[2] != named[1] == named[3]


def test_later_requests_bring_a_servers_cookies_as_they_are_by_then() -> None:
    baked = [peer.stream(*REPLY_PARTS, set_cookie=f"place={number}; Path=/") for number in range(3)]
    fast = type(HI)(HI.model, HI.messages, speed="fast")
    with Peer(*baked, REPLY) as server:
        asking = provider(server)
        for asked in (HI, fast, fast, HI):
            asking.stream(asked, lambda part: None, never)
    assert [one.headers.get("cookie") for one in server.seen] == [None, "place=0", "place=1", "place=2"]


@pytest.mark.parametrize(("script", "kind", "retryable"), FAULTS)
def test_a_later_fault_is_told_as_a_first_one(script: Script, kind: str, retryable: bool) -> None:
    later, first = fault_after_a_reply(script), failure(script)
    assert (later.kind, later.retryable) == (kind, retryable)
    assert (str(later), later.retry_after) == (str(first), first.retry_after)
