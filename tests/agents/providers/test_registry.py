"""Who answers for a model id."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from agents.providers import registry
from agents.providers.anthropic import AnthropicProvider
from tests.agents.providers import peer
from tests.agents.providers.asking import close
from tests.agents.providers.peer import Peer
from tests.agents.providers.talk import Talk, text

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees another's providers, and their connections are closed."""
    made: list[AnthropicProvider] = []

    def recorded(base_url: str | None, api_key: str | None) -> AnthropicProvider:
        made.append(AnthropicProvider(base_url=base_url, api_key=api_key))
        return made[-1]

    monkeypatch.setitem(registry.PROVIDERS, "anthropic", recorded)
    yield
    registry._provider.cache_clear()
    for provider in made:
        close(provider)


@pytest.mark.parametrize(
    ("model", "base_url", "api_key", "name"),
    [
        ("demo", None, None, "demo"),
        ("demo", "http://127.0.0.1:9", "key", "demo"),
        ("demo-large", "http://127.0.0.1:9", "key", "demo"),
        ("claude-opus-5-5", None, None, "demo"),
        ("claude-opus-5-5", "", "", "demo"),
        ("claude-opus-5-5", None, "key", "anthropic"),
        ("claude-opus-5-5", "http://127.0.0.1:9", None, "anthropic"),
        ("any/model:at-all", "http://127.0.0.1:9", None, "anthropic"),
        ("demonstration", None, "key", "anthropic"),
    ],
)
def test_the_rule(model: str, base_url: str | None, api_key: str | None, name: str) -> None:
    provider = registry.provider_for(model, base_url=base_url, api_key=api_key)
    assert provider.name == name == registry.provider_name(model, base_url=base_url, api_key=api_key)


def test_equal_arguments_share_one_provider_and_other_keys_do_not() -> None:
    one = registry.provider_for("a", base_url=None, api_key="key-1")
    assert registry.provider_for("b", base_url=None, api_key="key-1") is one
    assert registry.provider_for("a", base_url=None, api_key="key-2") is not one


def test_without_a_key_the_demo_answers_and_says_so() -> None:
    provider = registry.provider_for("claude-opus-5-5", base_url=None, api_key=None)
    reply = Talk(provider, model="claude-opus-5-5").say("say `hi`").once()
    assert reply.model == "demo"
    assert "no AI" in text(reply)


def test_the_default_is_the_demo_until_something_is_configured() -> None:
    assert registry.default_model(base_url=None, api_key=None) == "demo"
    assert registry.default_model(base_url=None, api_key="key") == registry.DEFAULT_MODEL


def test_the_demo_is_always_listed() -> None:
    (demo,) = registry.list_models(base_url=None, api_key=None)
    assert (demo.id, demo.display_name) == ("demo", "Demo, rule-driven, no AI")
    page = {"data": [{"type": "model", "id": "m", "display_name": "M"}], "has_more": False}
    with Peer(peer.answer(200, page)) as server:
        assert [model.id for model in registry.list_models(base_url=server.url, api_key="k")] == ["m", "demo"]


def test_a_server_that_does_not_answer_leaves_the_demo_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with Peer(peer.error(401, "authentication_error", "bad key sk-secret")) as server, caplog.at_level(logging.WARNING):
        assert [model.id for model in registry.list_models(base_url=server.url, api_key="sk-secret")] == ["demo"]
    assert "did not list its models" in caplog.text
    assert "sk-secret" not in caplog.text


def test_the_sdk_is_imported_by_the_first_turn_or_by_warming_up_and_not_before() -> None:
    program = (
        "import sys; from agents.providers import registry\n"
        "registry.provider_for('demo', base_url=None, api_key=None)\n"
        "before = 'anthropic' in sys.modules; registry.warm_up(); print(before, 'anthropic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "True"]


def test_what_a_model_takes_besides_text_is_what_its_server_says_or_what_the_settings_say() -> None:
    supported: dict[str, Any] = {"image_input": {"supported": True}, "pdf_input": {"supported": False}}
    says = {"type": "model", "id": "says", "display_name": "S", "capabilities": supported}
    silent = {"type": "model", "id": "silent", "display_name": "M"}
    page = {"data": [says, silent], "has_more": False}
    with Peer(peer.answer(200, page)) as server:
        there = {"base_url": server.url, "api_key": "other-key"}
        assert registry.media_of("says", unsaid=registry.MEDIA, **there) == {"image"}
        assert registry.media_of("silent", unsaid=frozenset({"pdf"}), **there) == {"pdf"}
        assert registry.media_of("unheard-of", unsaid=frozenset(), **there) == frozenset()
    assert registry.media_of("demo", unsaid=frozenset(), **there) == registry.MEDIA
