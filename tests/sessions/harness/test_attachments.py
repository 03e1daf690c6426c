"""Pictures and PDFs on their way to a model: as they are where it takes them, else a text that says so."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from sessions.harness.attachments import resolver
from tests.pdfs import pdf

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


def test_a_pdf_comes_as_its_text_where_the_model_takes_no_pdfs() -> None:
    data = base64.b64encode(pdf("Quarterly figures", "Up by a third")).decode()
    source = {"type": "base64", "media_type": "application/pdf", "data": data}
    told = resolved({"type": "document", "title": "Report", "source": source})
    assert told["type"] == "text"
    assert "Instead this is the text of its 2 pages:] Report\n\n[Page 1]\nQuarterly figures" in told["text"]
    assert told["text"].endswith("[Page 2]\nUp by a third")


def test_why_a_pdf_has_no_text_is_said() -> None:
    assert "Nor can its text be taken out: it could not be read" in resolved(PDF)["text"]
    empty = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(pdf("")).decode()}
    assert "It holds no text on its 1 page" in resolved({"type": "document", "source": empty})["text"]
    elsewhere = {"type": "document", "source": {"type": "url", "url": "https://docs.example/a.pdf"}}
    assert "It lies at an address elsewhere." in resolved(elsewhere)["text"]


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
