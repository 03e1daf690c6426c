"""A ``ModelRequest`` as the body of POST /v1/messages, and what to leave out of it. Pure.

A server or model that does not know an optional parameter answers 400 and names it. That
parameter is then dropped for good, because the turn is worth more than the option. The
inference geography is never dropped: it is a promise about where data goes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agents.providers.base import ModelRequest

FAST_MODE_BETA = "fast-mode-2026-02-01"
COMPACTION_BETA = "compact-2026-09-04"

_OPTIONAL = {
    "compaction": re.compile(r"compact", re.IGNORECASE),
    "cache_control": re.compile(r"cache_control", re.IGNORECASE),
    "output_config": re.compile(r"output_config|effort", re.IGNORECASE),
    "speed": re.compile(r"\bspeed\b|fast[ -]mode", re.IGNORECASE),
}
_MAX_TOKENS = re.compile(r"max_tokens\D*\d+\s*>\s*(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model on a server was found not to take."""

    dropped: frozenset[str] = frozenset()
    max_tokens: int | None = None


@dataclass(slots=True)
class Encoded:
    """The JSON of a conversation's first messages, which never change, kept from one request to the next: so the
    five-hundredth step costs no more to write than the first. Whoever replaces the conversation begins a new one.

    It is kept in pieces, each twice as long as the next: a few for any length, most of which are left alone by what is
    added.
    """

    count: int = 0  # of messages
    length: int = 0  # of their JSON, in bytes
    pieces: list[bytes] = field(default_factory=list)

    def whole(self, messages: Sequence[Any]) -> list[bytes]:
        """The JSON of ``messages``, in pieces; all but the last message are remembered. Raises ``ValueError`` for what
        is not Unicode.
        """
        for message in messages[self.count : -1]:
            self._add((b"," if self.count else b"") + to_json(message))
            self.count += 1
        return [b"[", *self.pieces, (b"," if self.count else b"") + to_json(messages[-1]) + b"]"]

    def _add(self, piece: bytes) -> None:
        self.length += len(piece)
        while self.pieces and len(self.pieces[-1]) <= 2 * len(piece):
            piece = self.pieces.pop() + piece
        self.pieces.append(piece)


def written(sent: Mapping[str, Any], encoded: Encoded | None) -> list[bytes]:
    """A body as JSON, in pieces. Raises ``ValueError`` for text that is not Unicode."""
    if encoded is None or not sent["messages"]:
        return [to_json(sent)]
    rest = to_json({name: value for name, value in sent.items() if name != "messages"})
    return [rest[:-1] + b',"messages":', *encoded.whole(sent["messages"]), b"}"]


def body(request: ModelRequest, limits: Limits) -> dict[str, Any]:
    """The request body. One cache mark at the top moves along with the conversation's end."""
    ceiling = limits.max_tokens or request.max_tokens
    out: dict[str, Any] = {
        "model": request.model,
        "max_tokens": min(request.max_tokens, ceiling),
        "stream": True,
        "messages": in_words(request.messages) if "compaction" in limits.dropped else request.messages,
    }
    if request.system:
        out["system"] = request.system
    if request.tools:
        out["tools"] = request.tools
    if request.inference_geo is not None:
        out["inference_geo"] = request.inference_geo
    out.update({k: v for k, v in _optional(request).items() if k not in limits.dropped})
    return out


def betas(sent: Mapping[str, Any]) -> list[str]:
    """The beta features that a body makes use of."""
    found = [FAST_MODE_BETA] if "speed" in sent else []
    if "compaction" in sent or is_compacted(sent["messages"]):
        found.append(COMPACTION_BETA)
    return found


def is_compacted(messages: Sequence[Any]) -> bool:
    """Whether a conversation begins with a server's own summary."""
    first = messages[0]["content"] if messages else ""
    return not isinstance(first, str) and bool(first) and first[0].get("type") == "compaction"


def in_words(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conversation for a server that doesn't know a summary's block: its text, at the beginning of what follows."""
    if not is_compacted(messages) or len(messages) == 1:
        return messages
    summary = summary_block(str(messages[0]["content"][0].get("content") or ""))
    said = messages[1]["content"]
    blocks = [{"type": "text", "text": said}] if isinstance(said, str) else said
    return [{**messages[1], "content": [summary, *blocks]}, *messages[2:]]


def summary_block(summary: str) -> dict[str, Any]:
    """The block that stands for everything before it, in words that any model reads."""
    return {"type": "text", "text": f"<conversation-summary>\n{summary}\n</conversation-summary>"}


def narrowed(limits: Limits, sent: dict[str, Any], refusal: str) -> Limits | None:
    """The limits a 400 or 422 teaches, or ``None`` when it is not about something optional."""
    for name, pattern in _OPTIONAL.items():
        used = name in sent or (name == "compaction" and is_compacted(sent["messages"]))
        if used and name not in limits.dropped and pattern.search(refusal):
            return replace(limits, dropped=limits.dropped | {name})
    ceiling = _MAX_TOKENS.search(refusal)
    if ceiling and 0 < int(ceiling[1]) < sent["max_tokens"]:
        return replace(limits, max_tokens=int(ceiling[1]))
    return None


def _optional(request: ModelRequest) -> dict[str, Any]:
    out: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}
    if request.effort is not None:
        out["output_config"] = {"effort": request.effort}
    if request.speed != "standard":
        out["speed"] = request.speed
    if request.compact:
        out["compaction"] = {"type": "summarize"}
    return out
