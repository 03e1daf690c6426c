"""An answer as the wire's message object and as its stream of events. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from agents.providers.demo.answer import Answer, Compaction, FaultKind, Part, Redacted, Text, Thinking, ToolUse
from agents.providers.demo.signing import sealed, sign
from agents.providers.demo.tokens import tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PIECES = 400
"""Text deltas of one block at most; longer texts come in larger pieces."""

_WORD = re.compile(r"\s*\S+\s*|\s+")


def message(answer: Answer, *, seed: bytes, model: str, usage: dict[str, int]) -> dict[str, Any]:
    """The whole message. Ids are made from ``seed`` (the prompt), so they never change;
    ``usage`` is the input side as ``PrefixCache`` counts it.
    """
    name = hashlib.blake2b(seed, digest_size=12).hexdigest()
    content = [_block(part, f"toolu_{name}_{index}") for index, part in enumerate(answer.parts)]
    return {
        "id": f"msg_{name}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": answer.stop_reason,
        "stop_sequence": None,
        "stop_details": answer.stop_details,
        "usage": _usage(usage, tokens_of(sum(len(to_json(block)) for block in content))),
    }


def events(answer: Answer, whole: dict[str, Any]) -> Iterator[bytes]:
    """The message as server-sent events, one bytes object each, in the order of the wire."""
    start = {
        **whole,
        "content": [],
        "stop_reason": None,
        "stop_details": None,
        "usage": {**whole["usage"], "output_tokens": 1},
    }
    yield sse({"type": "message_start", "message": start})
    yield sse({"type": "ping"})
    for index, (part, block) in enumerate(zip(answer.parts, whole["content"], strict=True)):
        yield sse({"type": "content_block_start", "index": index, "content_block": _empty(block)})
        for delta in _deltas(part, block):
            yield sse({"type": "content_block_delta", "index": index, "delta": delta})
        yield sse({"type": "content_block_stop", "index": index})
    ending = {key: whole[key] for key in ("stop_reason", "stop_sequence", "stop_details")}
    usage = {k: v for k, v in whole["usage"].items() if k in _CUMULATIVE}
    yield sse({"type": "message_delta", "delta": ending, "usage": usage})
    yield sse({"type": "message_stop"})


def broken(fault: FaultKind, frames: list[bytes]) -> list[bytes]:
    """The frames that still get out before (and, for some faults, while) a stream breaks: two
    thirds of them. ``drop`` and ``stall`` are then done by whoever sends the frames.
    """
    cut = max(len(frames) * 2 // 3, 3)
    if fault == "evterror":
        error = {"type": "overloaded_error", "message": "Overloaded"}
        return [*frames[:cut], sse({"type": "error", "error": error})]
    if fault == "corrupt":
        torn = b'event: content_block_delta\ndata: {"type":"content_block_delta","ind\n\n'
        return [*frames[:cut], torn, *frames[cut:]]
    return frames[:cut]


def sse(event: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), to_json(event))


_CUMULATIVE = (
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
)


def _usage(counted: dict[str, int], output: int) -> dict[str, Any]:
    return {
        "input_tokens": counted["input_tokens"],
        "cache_creation_input_tokens": counted["5m"] + counted["1h"],
        "cache_read_input_tokens": counted["cache_read"],
        "cache_creation": {
            "ephemeral_5m_input_tokens": counted["5m"],
            "ephemeral_1h_input_tokens": counted["1h"],
        },
        "output_tokens": max(output, 1),
        "service_tier": "standard",
    }


def _block(part: Part, call_id: str) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Thinking(text):
            return {"type": "thinking", "thinking": text, "signature": sign(text)}
        case Redacted(data):
            return {"type": "redacted_thinking", "data": sealed(data)}
        case ToolUse(name, given):
            return {"type": "tool_use", "id": call_id, "name": name, "input": given}
        case Compaction(summary):
            return {"type": "compaction", "content": summary, "encrypted_content": sign(summary)}


def _empty(block: dict[str, Any]) -> dict[str, Any]:
    match block["type"]:
        case "text":
            return {**block, "text": ""}
        case "thinking":
            return {**block, "thinking": "", "signature": ""}
        case "tool_use":
            return {**block, "input": {}}
        case "compaction":
            return {"type": "compaction", "content": None}
    return block


def _deltas(part: Part, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    match part:
        case Text(text):
            for piece in pieces(text):
                yield {"type": "text_delta", "text": piece}
        case Thinking(text):
            for piece in pieces(text):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case Compaction(summary):
            yield {**block, "type": "compaction_delta", "content": summary}
        case ToolUse(_, given, raw):
            text = json.dumps(given) if raw is None else raw
            yield {"type": "input_json_delta", "partial_json": ""}
            for start in range(0, len(text), max(len(text) // 8, 16)):
                piece = text[start : start + max(len(text) // 8, 16)]
                yield {"type": "input_json_delta", "partial_json": piece}


def pieces(text: str) -> list[str]:
    """The text word by word, several words to a piece when there are very many."""
    words = _WORD.findall(text)
    if len(words) <= MAX_PIECES:
        return words
    size = -(-len(words) // MAX_PIECES)
    return ["".join(words[i : i + size]) for i in range(0, len(words), size)]
