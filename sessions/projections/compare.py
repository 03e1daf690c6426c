"""Two sessions step by step: what they did alike stands side by side, what one did alone stands alone. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessions.projections.transcript import Row

STEPS = frozenset({"person", "note", "agent", "call", "error"})


@dataclass(frozen=True, slots=True)
class Pair:
    """A step on the left, on the right, or the same on both. ``alike``: neither differs in what it says or asks."""

    left: Row | None
    right: Row | None
    alike: bool


def aligned(left: Sequence[Row], right: Sequence[Row]) -> list[Pair]:
    """The steps of both, in the order of each, those that agree in one line."""
    mine = [row for row in left if row.kind in STEPS]
    theirs = [row for row in right if row.kind in STEPS]
    matcher = SequenceMatcher(a=[sign(row) for row in mine], b=[sign(row) for row in theirs], autojunk=False)
    pairs: list[Pair] = []
    for tag, first, last, start, end in matcher.get_opcodes():
        if tag == "equal":
            pairs += [Pair(a, b, _same_result(a, b)) for a, b in zip(mine[first:last], theirs[start:end], strict=True)]
            continue
        pairs += _by_kind(mine[first:last], theirs[start:end])
    return pairs


def _by_kind(left: Sequence[Row], right: Sequence[Row]) -> list[Pair]:
    """Steps that differ: beside each other those of one kind, such as two prompts, the others on lines of their own."""
    pairs: list[Pair] = []
    matcher = SequenceMatcher(a=[row.kind for row in left], b=[row.kind for row in right], autojunk=False)
    for tag, first, last, start, end in matcher.get_opcodes():
        if tag == "equal":
            pairs += [Pair(a, b, alike=False) for a, b in zip(left[first:last], right[start:end], strict=True)]
            continue
        pairs += [Pair(row, None, alike=False) for row in left[first:last]]
        pairs += [Pair(None, row, alike=False) for row in right[start:end]]
    return pairs


def sign(row: Row) -> str:
    """What makes a step the same as another: who did it and what it was."""
    if row.call is not None:
        return f"call {row.call.name} {json.dumps(row.call.input, sort_keys=True, default=str)}"
    return f"{row.kind} {row.text.body}"


def _same_result(left: Row, right: Row) -> bool:
    if left.call is None or right.call is None:
        return True
    one, other = left.call.result, right.call.result
    if one is None or other is None:
        return one is other
    return (one.text.body, one.is_error) == (other.text.body, other.is_error)
