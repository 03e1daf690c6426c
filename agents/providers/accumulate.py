"""Turns the decoded events of a Messages API stream into one reply. Pure.

Blocks are kept as the dictionaries the server sent, so that they go back byte for byte:
a thinking block with a changed signature is refused by the model that made it.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from agents.providers.base import ModelReply, ProviderError, StreamPart, Usage

BROKEN_INPUT_LIMIT = 2_000
MOST_TOKENS = 1_000_000_000  # that one request can have used; no database column holds what some servers say
NUL = "\\u0000"  # as JSON writes it
_CALLS = ("tool_use", "server_tool_use", "mcp_tool_use")


class Accumulator:
    """Feed it every event of one stream; ask for the ``reply`` at the end."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[int, dict[str, list[str]]] = {}
        self._usage: dict[str, Any] = {}
        self._finish: dict[str, Any] = {}

    @property
    def stop_reason(self) -> str | None:
        """Why the model stopped, once it said so."""
        reason = self._finish.get("stop_reason")
        return reason if isinstance(reason, str) else None

    def add(self, event: dict[str, Any]) -> StreamPart | None:
        """Take one event; answer with the part of it a reader wants to see, if any."""
        match event.get("type"):
            case "message_start":
                self._message = _object(event, "message")
                self._merge_usage(self._message.get("usage"))
            case "content_block_start":
                return self._open(_index(event), _object(event, "content_block"))
            case "content_block_delta":
                return self._extend(_index(event), _object(event, "delta"))
            case "message_delta":
                self._finish.update(_object(event, "delta"))
                self._merge_usage(event.get("usage"))
        return None

    def reply(self, *, model: str, speed: str, request_id: str | None) -> ModelReply:
        """The finished reply. Raises a retryable ``ProviderError`` when the stream ended early.

        ``model`` and ``speed`` stand in where the server does not name them.
        """
        stop_reason = self.stop_reason
        if stop_reason is None:
            raise ended_early()
        broken: dict[str, str] = {}
        content = [self._close(index, broken) for index in sorted(self._blocks)]
        return ModelReply(
            model=str(self._message.get("model") or model),
            content=[block for block in content if not _is_blank(block)],
            stop_reason=stop_reason,
            usage=usage_of(self._usage),
            stop_details=self._finish.get("stop_details"),
            request_id=request_id,
            speed=str(self._usage.get("speed") or speed),
            broken_inputs=broken,
        )

    def _open(self, index: int, block: dict[str, Any]) -> StreamPart | None:
        self._blocks[index] = dict(block)
        self._pieces[index] = {}
        kind = block.get("type")
        if kind in ("thinking", "redacted_thinking"):
            return StreamPart("thinking_started", index)
        if kind != "text":
            return None
        return StreamPart("text_started", index)

    def _extend(self, index: int, delta: dict[str, Any]) -> StreamPart | None:
        block = self._blocks.get(index)
        if block is None:
            raise garbled(f"a delta came for block {index}, which was never started")
        match delta.get("type"):
            case "text_delta":
                text = self._gather(index, "text", delta)
                return StreamPart("text", index, text)
            case "thinking_delta":
                self._gather(index, "thinking", delta)
            case "input_json_delta":
                self._gather(index, "partial_json", delta)
            case "signature_delta":
                block["signature"] = delta.get("signature", "")
            case "citations_delta":
                block["citations"] = [*(block.get("citations") or []), delta.get("citation")]
            case "compaction_delta":
                block.update({key: value for key, value in delta.items() if key != "type"})
        return None

    def _gather(self, index: int, field: str, delta: dict[str, Any]) -> str:
        text = delta.get(field)
        if not isinstance(text, str):
            raise garbled(f"a delta of block {index} has no {field}")
        self._pieces[index].setdefault(field, []).append(text)
        return text

    def _close(self, index: int, broken: dict[str, str]) -> dict[str, Any]:
        block, pieces = self._blocks[index], self._pieces[index]
        for field in ("text", "thinking"):
            if field in pieces:
                block[field] = str(block.get(field) or "") + "".join(pieces[field])
        if block.get("type") in _CALLS:
            self._close_call(block, "".join(pieces.get("partial_json", ())), broken)
        return block

    def _close_call(self, block: dict[str, Any], text: str, broken: dict[str, str]) -> None:
        started = block.get("input")
        try:
            parsed = from_json(text, allow_inf_nan=False) if text else started if started is not None else {}
            parsed = storable(parsed) if NUL in text else parsed
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            broken[str(block.get("id"))] = text[:BROKEN_INPUT_LIMIT]
            parsed = {}
        block["input"] = parsed

    def _merge_usage(self, usage: object) -> None:
        # The counts of message_delta are cumulative; what it leaves out stays as at the start.
        if isinstance(usage, dict):
            self._usage.update({key: value for key, value in usage.items() if value is not None})


def usage_of(usage: dict[str, Any]) -> Usage:
    """Wire usage as ``Usage``, with what server-side compaction cost added (the top level of
    the wire object leaves it out). Cache writes without a split are taken as five-minute.
    """
    iterations = usage.get("iterations")
    extra = iterations if isinstance(iterations, list) else []
    parts = [usage, *(item for item in extra if isinstance(item, dict) and item.get("type") == "compaction")]
    writes = [_cache_writes(part) for part in parts]
    return Usage(
        input_tokens=sum(_count(part, "input_tokens") for part in parts),
        output_tokens=sum(_count(part, "output_tokens") for part in parts),
        cache_read_input_tokens=sum(_count(part, "cache_read_input_tokens") for part in parts),
        cache_creation_input_tokens=sum(short + long for short, long in writes),
        cache_creation_5m=sum(short for short, _ in writes),
        cache_creation_1h=sum(long for _, long in writes),
    )


def ended_early() -> ProviderError:
    return ProviderError("request_failed", "The model's reply broke off before its end.", retryable=True)


def garbled(why: str) -> ProviderError:
    return ProviderError("request_failed", f"The model's reply could not be read: {why}.", retryable=True)


def _cache_writes(usage: dict[str, Any]) -> tuple[int, int]:
    total = _count(usage, "cache_creation_input_tokens")
    split = usage.get("cache_creation")
    if not isinstance(split, dict):
        return total, 0
    long = _count(split, "ephemeral_1h_input_tokens")
    short = _count(split, "ephemeral_5m_input_tokens")
    return max(short, total - long), long


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    return min(value, MOST_TOKENS) if isinstance(value, int) and value > 0 else 0


def storable(value: Any) -> Any:
    """``value`` as PostgreSQL takes it: a NUL, which no text there may have, becomes U+FFFD."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, dict):
        return {storable(key): storable(inside) for key, inside in value.items()}
    return [storable(inside) for inside in value] if isinstance(value, list) else value


def _object(event: dict[str, Any], name: str) -> dict[str, Any]:
    value = event.get(name)
    if not isinstance(value, dict):
        raise garbled(f"{event.get('type')} has no {name}")
    return value


def _index(event: dict[str, Any]) -> int:
    index = event.get("index")
    if not isinstance(index, int):
        raise garbled(f"{event.get('type')} has no index")
    return index


def _is_blank(block: dict[str, Any]) -> bool:
    # An empty text block is legal in a reply and a 400 in the next request.
    return block.get("type") == "text" and not str(block.get("text") or "").strip()
