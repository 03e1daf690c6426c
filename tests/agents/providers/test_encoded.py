"""A conversation's JSON, remembered from request to request, is the same as if it were written anew."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_core import from_json

from agents.providers.base import ModelRequest
from agents.providers.wire import Encoded, Limits, body, written


def message(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def test_each_request_of_a_growing_conversation_is_whole() -> None:
    messages: list[dict[str, Any]] = []
    encoded = Encoded()
    for number in range(20):
        messages.append(message(f"“{number}”"))
        sent = body(ModelRequest("m", messages, system="s", encoded=encoded), Limits())
        assert from_json(b"".join(written(sent, encoded))) == from_json(b"".join(written(sent, None)))
    assert encoded.count == 19
    assert encoded.length == len(b"".join(encoded.pieces))


def test_the_last_message_may_still_change() -> None:
    messages, encoded = [message("a"), message("b")], Encoded()
    written({"model": "m", "messages": messages}, encoded)
    messages[-1]["content"].append({"type": "text", "text": "more"})
    sent = {"model": "m", "messages": messages}
    assert from_json(b"".join(written(sent, encoded))) == sent


def test_a_long_conversation_is_a_few_pieces_most_of_which_stay_as_they_are() -> None:
    messages, encoded, copied = [message("begin")], Encoded(), 0
    for number in range(1000):
        before = set(map(id, encoded.pieces))
        messages.append(message("x" * (number * 37 % 500)))
        written({"model": "m", "messages": messages}, encoded)
        copied += sum(len(piece) for piece in encoded.pieces if id(piece) not in before)
        assert len(encoded.pieces) <= 20
    assert copied < 20 * encoded.length


def test_text_that_is_not_unicode_is_refused_each_time() -> None:
    encoded = Encoded()
    for _ in range(2):
        with pytest.raises(ValueError, match=r"surrogate|utf"):
            written({"model": "m", "messages": [message("\ud800"), message("b")]}, encoded)
