"""What is searched of an entry of the log, what people's words ask for, and the piece of text to show. Pure.

Text and questions are brought to the same plain words first: everything that is no letter or digit parts them, so
that ``hello`` finds ``/mnt/session/outputs/hello.txt``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sessions import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONGEST = 8000  # characters of an entry that are searched
WORDS_ASKED = 12
BEFORE, AFTER = 50, 150  # characters of a snippet around its first match
DEPTH = 6

TYPES = frozenset(
    {
        ev.USER_MESSAGE,
        ev.SYSTEM_MESSAGE,
        ev.USER_DEFINE_OUTCOME,
        ev.USER_TOOL_CONFIRMATION,
        ev.AGENT_MESSAGE,
        ev.MESSAGE_SENT,
        ev.SESSION_ERROR,
        *ev.CALLS,
        *ev.RESULTS,
    }
)
# Texts of an entry that people see; what else it has are names of types, ids and numbers.
FIELDS = ("name", "content", "text", "input", "message", "deny_message", "description", "error", "title")
PARTING = re.compile(r"[\W_]+")
ASKED = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a snippet; ``found`` is true for words that were asked for."""

    text: str
    found: bool = False


def said(event_type: str, payload: Mapping[str, Any]) -> str:
    """The text of an entry as people read it, cut; "" if there is none."""
    if event_type not in TYPES:
        return ""
    found, length = [], 0
    for text in _texts(payload, DEPTH):
        found.append(text[: LONGEST - length])
        length += len(found[-1]) + 1
        if length >= LONGEST:
            break
    return "\n".join(found)


def _texts(value: Any, depth: int, *, whole: bool = False) -> Iterator[str]:
    """Strings in reading order; of an input (``whole``) all of them, else those of the fields above."""
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, list):
        for item in value:
            yield from _texts(item, depth - 1, whole=whole)
    elif depth and isinstance(value, dict):
        for name, item in value.items():
            if whole or name in FIELDS:
                yield from _texts(item, depth - 1, whole=whole or name == "input")


def plain(text: str) -> str:
    """Words in small letters with a space between them."""
    return PARTING.sub(" ", text).strip().lower()


def question(asked: str) -> str:
    """What somebody typed in PostgreSQL's query language; "" if it holds no word.

    Every word must be there, at least as a beginning; ``"in quotes"`` as they stand; ``-word`` must not be.
    """
    terms = []
    for minus, quoted, word in ASKED.findall(asked.replace("\x00", " ")):
        words = plain(quoted or word).split()
        if not words:
            continue
        joined = " <-> ".join(f"'{one}'" for one in words) if quoted else " & ".join(f"'{one}':*" for one in words)
        terms.append(f"{'!' if minus else ''}({joined})")
        if len(terms) == WORDS_ASKED:
            break
    return " & ".join(terms) if any(not term.startswith("!") for term in terms) else ""


def snippet(text: str, asked: str) -> list[Piece]:
    """The surroundings of the first word found, with every word found marked; the beginning if none is."""
    terms = [word for minus, *given in ASKED.findall(asked) if not minus for word in plain("".join(given)).split()]
    flat = " ".join(text.replace("```", " ").split())  # what fences code is not what it says
    if not terms:
        return [Piece(flat[:AFTER])]
    wanted = re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, terms))})[^\W_]*", re.IGNORECASE)
    first = wanted.search(flat)
    start = max(0, first.start() - BEFORE) if first else 0
    if start:
        start = flat.find(" ", start, first.start() if first else None) + 1 or start
    end = min(len(flat), start + BEFORE + AFTER)
    return _marked(flat, wanted, start, end)


def _marked(flat: str, wanted: re.Pattern[str], start: int, end: int) -> list[Piece]:
    pieces, at = [Piece("… ")] if start else [], start
    for match in wanted.finditer(flat, start, end):
        if match.start() > at:
            pieces.append(Piece(flat[at : match.start()]))
        pieces.append(Piece(match.group(), found=True))
        at = match.end()
    if at < end:
        pieces.append(Piece(flat[at:end]))
    return [*pieces, Piece(" …")] if end < len(flat) else pieces
