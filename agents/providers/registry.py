"""Which provider answers for a model id, and which models can be named.

The rule, in order:
1. ``demo`` and ``demo-…`` are the demo model, always.
2. With a key or a base URL, everything else goes to that Messages API server.
3. With neither, the demo answers, says so in its first words, and names itself as the
   model that served the turn, so that nothing is priced as the model that was asked for.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import lru_cache

from agents.providers.anthropic import AnthropicProvider
from agents.providers.base import ModelInfo, ModelRequest, Provider, ProviderError
from agents.providers.demo.provider import demo_provider

DEMO = "demo"
DEMO_LABEL = "Demo, rule-driven, no AI"
DEFAULT_MODEL = "claude-opus-5-5"

MEDIA = frozenset({"image", "pdf"})

Factory = Callable[[str | None, str | None], Provider]
"""Makes a provider of a base URL and a key."""

PROVIDERS: dict[str, Factory] = {
    "anthropic": lambda base_url, api_key: AnthropicProvider(base_url=base_url, api_key=api_key),
    "demo": lambda base_url, api_key: demo_provider(),
}

_log = logging.getLogger(__name__)


def provider_for(model_id: str, *, base_url: str | None, api_key: str | None) -> Provider:
    """The provider that answers for a model id (the rule is above). Equal arguments give the
    same object, so connections and learned limits are shared by all threads.
    """
    name = provider_name(model_id, base_url=base_url, api_key=api_key)
    if name == "demo":
        return _provider(name, None, None)
    return _provider(name, base_url or None, api_key or None)


def provider_name(model_id: str, *, base_url: str | None, api_key: str | None) -> str:
    """The key in ``PROVIDERS`` for a model id."""
    configured = bool(base_url or api_key)
    return "anthropic" if configured and not is_demo(model_id) else "demo"


def is_demo(model_id: str) -> bool:
    """Whether a model id asks for the demo by name."""
    return model_id == DEMO or model_id.startswith(f"{DEMO}-")


def default_model(*, base_url: str | None, api_key: str | None) -> str:
    """The model a new agent gets: the demo until a key or a base URL is given."""
    return DEFAULT_MODEL if base_url or api_key else DEMO


def list_models(*, base_url: str | None, api_key: str | None) -> list[ModelInfo]:
    """Every model that can be named: the server's own list, then the demo. A server that does
    not answer leaves only the demo; the reason is logged.
    """
    demo = ModelInfo(DEMO, DEMO_LABEL, 200_000, 64_000)
    if not (base_url or api_key):
        return [demo]
    try:
        found = provider_for(DEFAULT_MODEL, base_url=base_url, api_key=api_key).models()
    except ProviderError as error:
        _log.warning("The model server did not list its models: %s", error.message)
        found = []
    return [*(model for model in found if not is_demo(model.id)), demo]


def media_of(model_id: str, *, base_url: str | None, api_key: str | None, unsaid: frozenset[str]) -> frozenset[str]:
    """What a model takes besides text ("image", "pdf"): as its server lists it, else ``unsaid``.

    The demo and Anthropic's own server take all of it where they don't say.
    """
    if provider_name(model_id, base_url=base_url, api_key=api_key) == "demo":
        return MEDIA
    found = list_models(base_url=base_url, api_key=api_key)
    listed = next((model.media for model in found if model.id == model_id), None)
    return (unsaid if base_url else MEDIA) if listed is None else listed


def warm_up() -> None:
    """Load the SDK, which takes one to two seconds, before the first turn has to wait for it.

    Asking the demo once also builds the models that the SDK only makes at their first use.
    """
    hello = ModelRequest(DEMO, [{"role": "user", "content": [{"type": "text", "text": "hello"}]}])
    _provider("demo", None, None).stream(hello, lambda part: None, lambda: False)


@lru_cache(maxsize=16)
def _provider(name: str, base_url: str | None, api_key: str | None) -> Provider:
    return PROVIDERS[name](base_url, api_key)


# A connection inherited over a fork would be shared by two processes.
os.register_at_fork(after_in_child=_provider.cache_clear)
