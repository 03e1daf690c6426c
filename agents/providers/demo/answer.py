"""What a reply is before it is put on the wire. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

FaultKind = Literal["drop", "silent", "evterror", "stall", "corrupt"]
FAULTS: tuple[FaultKind, ...] = ("drop", "silent", "evterror", "stall", "corrupt")

LABEL = "Demo (rule-driven, no AI)"


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    text: str


@dataclass(frozen=True, slots=True)
class Redacted:
    data: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """``raw`` replaces the JSON of ``input`` on the wire, to send one that is broken."""

    name: str
    input: dict[str, Any]
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class Compaction:
    """A summary in place of the conversation."""

    summary: str


Part = Text | Thinking | Redacted | ToolUse | Compaction


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply. ``pace`` is the pause before each piece of text, in seconds."""

    parts: list[Part]
    stop_reason: str
    stop_details: dict[str, Any] | None = None
    pace: float = 0.0
    stall_seconds: float = 600.0


def says(text: str, stop_reason: str = "end_turn") -> Answer:
    """A reply of one text."""
    return Answer([Text(text)], stop_reason)


def calls(text: str, *uses: ToolUse) -> Answer:
    """A reply that says what it is about to do and calls tools."""
    return Answer([Text(text), *uses], "tool_use")
