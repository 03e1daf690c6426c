"""Plain sentences, by fixed patterns, into steps. Pure: no understanding is involved.

Code spans, quoted text and JSON objects are first replaced by marks, so that what stands
inside them is never split or matched.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NamedTuple

MAX_STEPS = 200

_VERBS = (
    "write|create|save|make|put|run|execute|read|show|open|cat|list|find|search|grep|fetch|"
    "use|call|ask|tell|edit|replace|wait|say|reply"
)
_SPLIT = re.compile(
    rf"\n+|[.;!?](?:\s+|$)|,?\s+(?:and\s+)?then\s+|(?:,\s*|,?\s+and\s+)(?=(?:{_VERBS})\b)",
    re.IGNORECASE,
)
_POLITE = re.compile(
    r"^(?:[-*]\s+|\d+[.)]\s+|(?:please|now|first|next|also|finally|and|then|kindly|"
    r"(?:could|can|would) you)[,\s]+)+",
    re.IGNORECASE,
)
_MARK = r"\x00\d+\x00"
_ARG = rf"(?:{_MARK}|[^\s\x00]*[^\s\x00,:])"
_FILE = r"(?:an?\s+|the\s+)?(?:new\s+)?(?:text\s+)?(?:file\s+)?(?:called\s+|named\s+)?"

_WITH = r"\s+(?:with|containing|saying)\s+(?:the\s+)?(?:(?:contents?|text|line|words?)\s+)?"
_NOT_BARE = r"(?!(?:the|an?|all|my|your|this|it|some)\b)"
_FILES = r"(?:all\s+)?(?:the\s+)?files?"
_CONTENTS = r"(?:the\s+)?(?:contents?\s+of\s+)?"

_PATTERNS: tuple[tuple[str, str], ...] = (
    ("write", rf"(?:write|create|save|make)\s+{_FILE}(?P<path>{_ARG}){_WITH}(?P<content>{_MARK})"),
    (
        "write",
        rf"(?:write|save|put)\s+(?:the\s+text\s+)?(?P<content>{_MARK})\s+(?:in|to|into)\s+{_FILE}(?P<path>{_ARG})",
    ),
    ("edit", rf"replace\s+(?P<old>{_MARK})\s+(?:with|by)\s+(?P<new>{_MARK})\s+in\s+{_FILE}(?P<path>{_ARG})"),
    (
        "edit",
        rf"edit\s+{_FILE}(?P<path>{_ARG})[,:]?\s+replac(?:ing|e)\s+(?P<old>{_MARK})\s+(?:with|by)\s+(?P<new>{_MARK})",
    ),
    ("run", rf"(?:run|execute)\s+(?:the\s+)?(?:command\s+)?(?P<command>{_MARK})"),
    ("run", rf"(?:run|execute)\s+{_NOT_BARE}(?P<command>\S.*)"),
    ("list", rf"list\s+{_FILES}(?:\s+in\s+{_FILE}(?P<folder>{_ARG}))?"),
    ("find", rf"find\s+{_FILES}\s+(?:matching|named|called|like)\s+(?P<pattern>{_ARG})"),
    ("websearch", r"search\s+the\s+web\s+for\s+(?P<query>\S.*)"),
    (
        "search",
        rf"(?:search|grep|look)\s+(?:(?:in\s+)?{_FILES}\s+)?for\s+(?P<pattern>{_ARG})(?:\s+in\s+(?P<folder>{_ARG}))?",
    ),
    ("fetch", r"(?:fetch|download|get|open)\s+(?P<url>https?://[^\s\x00]+)"),
    ("use", rf"(?:use|call)\s+(?:the\s+)?(?:tool\s+)?(?P<tool>{_ARG})(?:\s+tool)?(?:\s+with\s+(?P<json>{_MARK}))?"),
    ("ask", r"(?:ask|tell)\s+(?P<agent>[\w.-]+)\s+to\s+(?P<message>\S.*)"),
    ("wait", r"wait\s+(?:for\s+)?(?P<seconds>\d{1,4}(?:\.\d+)?)\s*(?:s|secs?|seconds?)"),
    ("say", r"(?:say|reply(?:\s+with)?|answer(?:\s+with)?)\s+(?P<content>\S.*)"),
    ("read", rf"(?:read|show(?:\s+me)?|open|cat|print)\s+{_CONTENTS}{_FILE}(?P<path>{_ARG})"),
)
_COMPILED = [(kind, re.compile(rf"{text}\s*", re.IGNORECASE)) for kind, text in _PATTERNS]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: ``kind`` is a pattern's name, ``args`` its named parts."""

    kind: str
    args: dict[str, str]


def plan(task: str) -> list[Step]:
    """The steps a task names, in order, at most ``MAX_STEPS``; empty when nothing matches."""
    masked, spans = _mask(task)
    steps = (_match(_POLITE.sub("", clause.strip()), spans) for clause in _SPLIT.split(masked))
    return [step for step in steps if step is not None][:MAX_STEPS]


def _match(clause: str, spans: list[_Span]) -> Step | None:
    for kind, pattern in _COMPILED:
        found = pattern.fullmatch(clause)
        if found:
            args = {k: _unmask(k, v, spans) for k, v in found.groupdict().items() if v is not None}
            return Step(kind, args)
    return None


class _Span(NamedTuple):
    """What a mark stands for: what it means, and as it was written, with its quotes."""

    value: str
    written: str


def _mask(text: str) -> tuple[str, list[_Span]]:
    """``text`` with every span replaced by a numbered mark, and the spans."""
    spans: list[_Span] = []
    out: list[str] = []
    position = 0
    text = text.replace("\x00", " ")
    while position < len(text):
        value, end = _span(text, position)
        if end == position:
            out.append(text[position])
            position += 1
        else:
            spans.append(_Span(value, text[position:end]))
            out.append(f"\x00{len(spans) - 1}\x00")
            position = end
    return "".join(out), spans


_QUOTED = re.compile(r"```(?:\w*\n)?(?P<fence>.*?)```|`(?P<code>[^`]*)`|\"(?P<quote>[^\"\n]*)\"", re.DOTALL)
_JSON = json.JSONDecoder()


def _span(text: str, position: int) -> tuple[str, int]:
    if text[position] == "{":
        try:
            _, end = _JSON.raw_decode(text, position)
        except ValueError:
            return "", position
        return text[position:end], end
    found = _QUOTED.match(text, position) if text[position] in '`"' else None
    if found is None:
        return "", position
    return next(group for group in found.groups() if group is not None), found.end()


def _unmask(name: str, text: str, spans: list[_Span]) -> str:
    """A message for another agent keeps its quotes: whoever reads it must see where they begin and end."""
    quoted = name == "message" and re.fullmatch(_MARK, text) is None
    return re.sub(r"\x00(\d+)\x00", lambda mark: spans[int(mark[1])][quoted], text)
