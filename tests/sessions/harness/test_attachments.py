"""Pictures and PDFs on their way to a model: as they are where it takes them, else a text that says so."""

from __future__ import annotations

from typing import Any

import pytest

from sessions.harness.attachments import resolver

PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}}
TEXT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}}
WORDS = {"type": "text", "text": "hi"}


def resolved(block: dict[str, Any], *takes: str) -> dict[str, Any]:
    found: dict[str, Any] = resolver("wrkspc_1", lambda: frozenset(takes), "tiny-1")(block)
    return found


@pytest.mark.parametrize("block", [PICTURE, PDF, TEXT, WORDS])
def test_a_model_that_takes_everything_gets_it_as_it_is(block: dict[str, Any]) -> None:
    assert resolved(block, "image", "pdf") == block


@pytest.mark.parametrize(("block", "takes", "named"), [(PICTURE, "pdf", "picture"), (PDF, "image", "PDF")])
def test_what_a_model_does_not_take_becomes_words(block: dict[str, Any], takes: str, named: str) -> None:
    told = resolved(block, takes)
    assert told["type"] == "text"
    assert f"A {named} is here that tiny-1 can't be shown" in told["text"]


@pytest.mark.parametrize("block", [TEXT, WORDS])
def test_text_is_for_every_model_and_asks_nobody(block: dict[str, Any]) -> None:
    def ask() -> frozenset[str]:
        raise AssertionError("asked for nothing")

    assert resolver("wrkspc_1", ask, "tiny-1")(block) == block


def test_the_server_is_asked_once() -> None:
    asked: list[int] = []

    def ask() -> frozenset[str]:
        asked.append(1)
        return frozenset()

    resolve = resolver("wrkspc_1", ask, "tiny-1")
    resolve(PICTURE)
    resolve(PDF)
    assert asked == [1]
