"""Token counts of the demo: bytes divided by four, rounded up; of a picture or PDF at most 1,500. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

CHARACTERS_PER_TOKEN = 4
MEDIA_CHARACTERS = 6_000  # 1,500 tokens, about what models count a picture or a page as


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the prompt, in cache order. ``digest`` covers everything up to its end,
    ``tokens`` likewise; ``ttl`` is "5m" or "1h" where a cache mark ends the segment.
    """

    digest: bytes
    tokens: int
    ttl: str | None = None


def tokens_of(size: int) -> int:
    return -(-size // CHARACTERS_PER_TOKEN)


def segments(body: dict[str, Any]) -> list[Segment]:
    """The prompt's prefixes: after the tools, after the system text, after every message.

    A cache mark inside a piece counts at its end, the one at the top level at the very end.
    """
    pieces: list[Any] = [body.get("tools") or [], body.get("system") or ""]
    pieces += body["messages"]
    running = hashlib.blake2b(str(body["model"]).encode(), digest_size=16)
    size = 0
    found: list[Segment] = []
    for piece in pieces:
        text = to_json(piece)
        ttl = _mark(piece) if b'"cache_control"' in text else None
        if ttl is not None:
            text = to_json(_without_marks(piece))
        running.update(text)
        size += len(text) - (_beyond_media(piece) if b'"base64"' in text else 0)
        found.append(Segment(running.digest(), tokens_of(size), ttl))
    top = body.get("cache_control")
    if top:
        last = found[-1]
        found[-1] = Segment(last.digest, last.tokens, top.get("ttl") or "5m")
    return found


def _beyond_media(value: Any) -> int:
    """The bytes of pictures and PDFs that don't count."""
    if isinstance(value, list):
        return sum(map(_beyond_media, value))
    if not isinstance(value, dict):
        return 0
    if value.get("type") == "base64" and isinstance(value.get("data"), str):
        return max(0, len(value["data"]) - MEDIA_CHARACTERS)
    return sum(map(_beyond_media, value.values()))


def _mark(piece: Any) -> str | None:
    """The longest-lived cache mark in a piece."""
    marks: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            mark = value.get("cache_control")
            if isinstance(mark, dict):
                marks.append(mark.get("ttl") or "5m")
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(piece)
    return min(marks, default=None)


def _without_marks(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_marks(item) for key, item in value.items() if key != "cache_control"}
    if isinstance(value, list):
        return [_without_marks(item) for item in value]
    return value
