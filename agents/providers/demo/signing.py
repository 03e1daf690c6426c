"""Signatures of the demo's thinking, so that a block changed on its way is noticed. Pure."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

_PREFIX = "demo."


def sign(text: str) -> str:
    """A digest that shows changes; it is no secret and proves nothing about the author."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=24).digest()
    return _PREFIX + base64.b64encode(digest).decode()


def sealed(text: str) -> str:
    """The data of a redacted block: the digest and, after it, the text, unreadable to people."""
    return f"{sign(text)}.{base64.b64encode(text.encode()).decode()}"


def genuine(block: dict[str, Any]) -> bool:
    """Whether a thinking or redacted_thinking block is as the demo made it. Blocks without the
    demo's prefix were made by another model and are let through.
    """
    if block["type"] == "thinking":
        signature = block["signature"]
        foreign = not str(signature).startswith(_PREFIX)
        return foreign or signature == sign(str(block["thinking"]))
    signature, _, encoded = str(block["data"]).rpartition(".")
    if not str(block["data"]).startswith(_PREFIX):
        return True
    try:
        return signature == sign(base64.b64decode(encoded).decode())
    except ValueError:
        return False
