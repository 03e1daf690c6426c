"""Summaries: what the demo writes when a conversation has grown too long, and how it reads one later. Pure.

A summary by rules says how many calls of the turn under way are done, so that the plan goes on
where it was instead of starting again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agents.providers.demo.answer import LABEL, Answer, Compaction, says

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONVERSATION = re.compile(r"<conversation>\n(.*)\n</conversation>\s*$", re.DOTALL)
_SUMMARY = re.compile(r"<conversation-summary>.*?</conversation-summary>\n?", re.DOTALL)
_DONE = re.compile(r"calls done in this turn: (\d{1,6})")
_SPOKEN = re.compile(r"^\[user\] (?!result: |failed: )", re.MULTILINE)
_CALL = re.compile(r"^\[assistant\] called ", re.MULTILINE)
TAIL_CHARACTERS = 600


def asked_for(text: str) -> str | None:
    """The conversation that a message asks to summarise; None for any other message."""
    found = _CONVERSATION.search(text)
    return found.group(1) if found else None


def summarise(conversation: str) -> Answer:
    """A summary by rules, as a reply."""
    return says(summary(conversation))


def compacted(messages: list[dict[str, Any]]) -> Answer:
    """A summary by rules, as the block that the wire has for it."""
    lines = [f"[{message['role']}] {word}" for message in messages for word in _words(message["content"])]
    return Answer([Compaction(summary("\n".join(lines)))], "compaction")


def _words(content: str | list[dict[str, Any]]) -> Iterator[str]:
    for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
        if block["type"] == "text":
            yield block["text"]
        elif block["type"] == "tool_use":
            yield f"called {block['name']}"
        elif block["type"] == "tool_result":
            yield "failed: it did" if block.get("is_error") else "result: it was done"


def summary(conversation: str) -> str:
    """What the demo can tell of a conversation: the calls done since the person last spoke, and its end."""
    shown = _SUMMARY.sub("", conversation)
    spoken = [match.start() for match in _SPOKEN.finditer(shown)]
    since = shown[spoken[-1] :] if spoken else shown
    done = len(_CALL.findall(since))
    if len(spoken) <= 1:
        done += done_before(conversation)
    tail = shown[-TAIL_CHARACTERS:].replace("[[", "[ [")
    return f"{LABEL}: a summary by rules; calls done in this turn: {done}. The conversation ended with:\n{tail}"


def without(text: str) -> str:
    """A message without the summary that stands before what the person said."""
    return _SUMMARY.sub("", text)


def done_before(text: str) -> int:
    """How many calls of the turn under way were made before the summary in this text."""
    found = _SUMMARY.search(text)
    done = _DONE.search(found.group()) if found else None
    return int(done.group(1)) if done else 0
