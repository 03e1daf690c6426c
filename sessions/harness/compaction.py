"""Making room: a long conversation becomes a summary from which the work can go on. Pure.

The log keeps every event; only the prompt starts again from the summary (spec core 13.3).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.providers.base import Usage

RESULT_CHARACTERS = 2_000
CHARACTERS_PER_TOKEN = 3
LOOSE = 4  # characters a token, where a guess must rather be too low
DOUBTED = 8  # a count is doubted where the prompt has so many times the characters that tokens usually have
MEDIA_CHARACTERS = 6_000  # that a picture or document counts for, whatever its size
HEAD_SHARE = 5  # a conversation too long to show keeps one part of this many from its beginning
SHORTER = 4  # each time that the model found it too long it is shown one part of this many
UNSUMMED = "The model gave no summary. This is what was said, its middle left out:"

INSTRUCTION = (
    "The conversation below has grown too long to go on with. Write the summary that will replace it. Whoever reads it "
    "knows nothing else, so keep: what was asked for, with every constraint and exact name; what was decided and why; "
    "which files were made or changed and what they hold now; commands that mattered and what they showed; what "
    "failed; and what is to be done next. Write plain text. Do not answer the conversation and do not use tools."
)


def request(messages: list[dict[str, Any]], window_tokens: int, tried: int = 0) -> list[dict[str, Any]]:
    """The messages that ask for a summary of ``messages``; they fit into half of the window.

    ``tried``: how often in a row that was still too long, for the window may be smaller than the setting says.
    """
    text = shown(messages, window_tokens // 2 // SHORTER**tried)
    content = f"{INSTRUCTION}\n\n<conversation>\n{text}\n</conversation>"
    return [{"role": "user", "content": [{"type": "text", "text": content}]}]


def tokens(messages: list[dict[str, Any]], used: Usage, size: int) -> int | None:
    """How many tokens a prompt and its reply had, by our guess, if what the server counted can't be true; else None.

    Some servers count nothing. ``size``: bytes of the prompt but for its last message, 0 if not known.
    """
    counted = used.input_tokens + used.cache_read_input_tokens + used.cache_creation_input_tokens
    doubtful = counted * LOOSE * DOUBTED
    if 0 < size <= doubtful or (said := sum(_characters(message["content"]) for message in messages)) <= doubtful:
        return None
    return said // LOOSE + used.output_tokens


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return sum(map(_characters, value))
    if not isinstance(value, dict):
        return 0
    return MEDIA_CHARACTERS if value.get("type") in ("image", "document") else sum(map(_characters, value.values()))


def instead(messages: list[dict[str, Any]], window_tokens: int, tried: int = 0) -> str:
    """What stands for a summary that the model doesn't give: the conversation in words, in a quarter of the window."""
    return f"{UNSUMMED}\n\n{shown(messages, window_tokens // 4 // SHORTER**tried)}"


def shown(messages: list[dict[str, Any]], tokens: int) -> str:
    """The conversation in words, its middle left out where it is longer than ``tokens``."""
    return _shorten(transcript(messages), tokens * CHARACTERS_PER_TOKEN)


def transcript(messages: list[dict[str, Any]]) -> str:
    """The conversation in words; long tool results and everything that is not text are cut short."""
    return "\n".join(
        f"[{message['role']}] {words}"
        for message in messages
        for block in message["content"]
        if (words := _words(block))
    )


def _words(block: dict[str, Any]) -> str:
    match block["type"]:
        case "text":
            return str(block["text"])
        case "tool_use":
            return f"called {block['name']} with {_shorten(json.dumps(block['input']), RESULT_CHARACTERS)}"
        case "tool_result":
            outcome = "failed" if block.get("is_error") else "result"
            inside = " ".join(_words(part) for part in block.get("content") or [])
            return f"{outcome}: {_shorten(inside, RESULT_CHARACTERS)}"
        case "thinking" | "redacted_thinking":
            return ""
        case "compaction":
            return str(block.get("content") or "")
        case other:
            return f"({other})"


def _shorten(text: str, limit: int) -> str:
    """The beginning and the end of a text that is longer than ``limit`` characters."""
    if len(text) <= limit:
        return text
    head = limit // HEAD_SHARE
    return f"{text[:head]}\n[… {len(text) - limit} characters left out …]\n{text[-(limit - head) :]}"
