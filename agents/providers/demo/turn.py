"""What the conversation says about the turn under way. Pure.

A turn starts at the last user message in which a person wrote something; every assistant
message since then is one reply of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from agents.providers.demo import summaries

_TOLD = re.compile(
    r'<agent-message from="(?P<name>[^"]*)" kind="(?:report|failure|advice|results)">\s*(?P<text>.*?)\s*'
    r"</agent-message>",
    re.DOTALL,
)
_TAGS = re.compile(r'</?agent-message(?: from="[^"]*" kind="[^"]*")?>')
_DIRECTIVE = re.compile(r"\[\[\s*demo:([^\]]*)\]\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one call. ``text`` is what the model may read of it."""

    text: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call made earlier in this turn; ``result`` is None while it has no answer."""

    name: str
    input: dict[str, Any]
    result: Result | None


@dataclass(frozen=True, slots=True)
class Turn:
    """``task`` is the person's text without directives; ``options`` are the directives,
    name to value ("" when bare); ``replies`` counts the assistant messages so far.
    """

    text: str
    task: str
    options: dict[str, str] = field(default_factory=dict)
    replies: int = 0
    calls: tuple[PastCall, ...] = ()
    told: tuple[tuple[str, str], ...] = ()  # what other agents reported since: name and text


EARLIER = PastCall("call before the summary", {}, Result("done", is_error=False))

REMINDER_OPENS = "<system-reminder>"  # the harness speaks, not the person


def read_turn(messages: list[dict[str, Any]]) -> Turn:
    """The turn a list of Messages API messages is in the middle of."""
    start = _start(messages)
    whole = text_of(messages[start]) if start >= 0 else ""
    text, earlier = _written(summaries.without(whole)), summaries.done_before(whole)
    since = messages[start + 1 :]
    return Turn(
        told=tuple(one for message in messages[max(start, 0) :] for one in _TOLD.findall(_user_text(message))),
        text=text,
        task=_DIRECTIVE.sub(" ", text).strip(),
        options={} if summaries.asked_for(text) else _options(text),
        replies=sum(message["role"] == "assistant" for message in since) + earlier,
        calls=(EARLIER,) * earlier + _calls(since),
    )


def text_of(message: dict[str, Any]) -> str:
    """The text blocks of a message, one per line."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block["type"] == "text")


def _written(text: str) -> str:
    """What a person, or an agent that gives a task, wrote: reports of other agents are left out."""
    return _TAGS.sub("", _TOLD.sub("", text))


def _user_text(message: dict[str, Any]) -> str:
    return text_of(message) if message["role"] == "user" else ""


def _start(messages: list[dict[str, Any]]) -> int:
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message["role"] == "user" and _is_written(message["content"]) and _written(text_of(message)).strip():
            return index
    return -1


def _is_written(content: str | list[dict[str, Any]]) -> bool:
    if isinstance(content, str):
        return not content.isspace()
    return any(block["type"] == "text" and not block["text"].startswith(REMINDER_OPENS) for block in content)


def _options(text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for found in _DIRECTIVE.findall(text):
        for word in re.split(r"[\s,;]+", found.strip()):
            name, _, value = word.partition("=")
            if name:
                options[name.lower()] = value
    return options


def _calls(messages: list[dict[str, Any]]) -> tuple[PastCall, ...]:
    made: list[dict[str, Any]] = []
    results: dict[str, Result] = {}
    for message in messages:
        if isinstance(message["content"], str):
            continue
        for block in message["content"]:
            if block["type"] == "tool_use":
                made.append(block)
            elif block["type"] == "tool_result":
                text = _result_text(block.get("content"))
                results[block["tool_use_id"]] = Result(text, bool(block.get("is_error")))
    return tuple(PastCall(call["name"], call["input"], results.get(call["id"])) for call in made)


def _result_text(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(block["text"] if block.get("type") == "text" else f"({block.get('type')})" for block in content)
