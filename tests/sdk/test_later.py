"""What this version can't run yet, through the SDK alone: empty lists, typed refusals, nothing pretended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

Call = Any  # from the beta client to an answer

LISTS: dict[str, Call] = {
    "dreams": lambda beta: beta.dreams.list(statuses=["pending", "running"], include_archived=True),
}
CREATES: dict[str, Call] = {
    "dreams": lambda beta: beta.dreams.create(
        model={"id": "demo", "speed": "standard"},
        inputs=[
            {"type": "memory_store", "memory_store_id": "memstore_1"},
            {"type": "sessions", "session_ids": ["sesn_1"]},
        ],
    ),
}
MISSING: dict[str, Call] = {
    "dreams.retrieve": lambda beta: beta.dreams.retrieve("drm_1"),
    "dreams.cancel": lambda beta: beta.dreams.cancel("drm_1"),
    "dreams.archive": lambda beta: beta.dreams.archive("drm_1"),
}


@pytest.mark.parametrize("call", LISTS.values(), ids=LISTS)
def test_a_list_is_empty(client: anthropic.Anthropic, call: Callable[[Any], Any]) -> None:
    assert list(call(client.beta)) == []


@pytest.mark.parametrize("call", CREATES.values(), ids=CREATES)
def test_a_create_is_refused_in_a_clear_sentence(client: anthropic.Anthropic, call: Callable[[Any], Any]) -> None:
    with pytest.raises(anthropic.BadRequestError, match="not supported by this version"):
        call(client.beta)


@pytest.mark.parametrize("call", MISSING.values(), ids=MISSING)
def test_nothing_is_there(client: anthropic.Anthropic, call: Callable[[Any], Any]) -> None:
    with pytest.raises(anthropic.NotFoundError, match="There is no"):
        call(client.beta)
