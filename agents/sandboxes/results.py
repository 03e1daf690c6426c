"""Tool results between the runner, the journal and the wire; the runner's are not trusted."""

from __future__ import annotations

from typing import Any

from agents.sandboxes.base import CallResult, OutputFile

OUTPUT_FILES = 1000
_MEDIA = {
    "image": {"image/png", "image/jpeg", "image/gif", "image/webp"},
    "document": {"application/pdf"},
}


def unknown(why: str) -> CallResult:
    """The result of a call that may or may not have had its effect."""
    text = (
        f"The outcome of this call is unknown: {why.rstrip('.')}. It may have taken effect, in part or in whole. "
        "It was not run again; check the state of things before you repeat it."
    )
    return CallResult([{"type": "text", "text": text}], is_error=True, outcome="unknown")


def text_of(result: CallResult) -> str:
    """What a result says in words."""
    return "".join(block.get("text", "") for block in result.content).strip()


def result_to(result: CallResult) -> dict[str, Any]:
    """A result as plain JSON."""
    return {
        "content": result.content,
        "is_error": result.is_error,
        "outcome": result.outcome,
        "outputs": [[o.path, o.size, o.mtime_ns] for o in result.outputs],
        "duration_ms": result.duration_ms,
    }


def result_from(record: dict[str, Any]) -> CallResult:
    """The reverse of ``result_to``."""
    return CallResult(
        content=record["content"],
        is_error=record["is_error"],
        outcome=record["outcome"],
        outputs=tuple(OutputFile(*o) for o in record["outputs"]),
        duration_ms=record["duration_ms"],
    )


def answer_from(message: dict[str, Any]) -> CallResult:
    """A runner's answer, checked; raises ``ValueError``, ``KeyError``, ``TypeError`` or ``OverflowError``."""
    return CallResult(
        content=[_block(block) for block in message["content"]],
        is_error=bool(message["is_error"]),
        outputs=tuple(_output(entry) for entry in message["outputs"][:OUTPUT_FILES]),
        duration_ms=_number(float(message["ms"])),
    )


def _block(block: dict[str, Any]) -> dict[str, Any]:
    if block["type"] == "text":
        return {"type": "text", "text": clean(block["text"])}
    source = block["source"]
    if source["media_type"] not in _MEDIA[block["type"]]:
        raise ValueError("media type")
    data = clean(source["data"])
    source = {"type": "base64", "media_type": source["media_type"], "data": data}
    return {"type": block["type"], "source": source}


def clean(value: object) -> str:
    """Text that the database and every client can hold. Raises ``TypeError`` for anything else."""
    if not isinstance(value, str):
        raise TypeError("text")
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _output(entry: list[Any]) -> OutputFile:
    path, size, mtime_ns = entry
    parts = clean(path).split("/")
    if not path or "" in parts or "." in parts or ".." in parts:
        raise ValueError("output path")
    return OutputFile(clean(path), int(_number(size)), int(_number(mtime_ns)))


def _number(value: float) -> float:
    """A number that the database's columns and JSON can hold."""
    if not -(2**63) < value < 2**63:
        raise ValueError("number")
    return value
