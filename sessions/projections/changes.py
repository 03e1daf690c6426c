"""What an agent wrote: every change of a file as its calls made it, with what was there before. Pure.

Only ``write`` and ``edit`` calls that succeeded are told; what a command did to a file is seen in its outputs.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Call = tuple[int, str, Mapping[str, Any]]  # seq, tool name, input

CONTEXT_LINES = 3
MAX_CHARACTERS = 200_000
MAX_LINES = 2_000


@dataclass(frozen=True, slots=True)
class Change:
    """One call's change of ``path``. ``lines`` is its diff ("+ ", "- ", "  ", "@@"); ``cut`` lines were left out.

    ``known`` is false if what stood there before the change isn't on the log: an edit then shows its own lines only.
    """

    seq: int
    path: str
    lines: tuple[str, ...]
    added: int
    removed: int
    cut: int
    known: bool


@dataclass(frozen=True, slots=True)
class Net:
    """What became of one file, from before its first change to after its last. Fields as in ``Change``; ``seq`` is
    that of the last call. Where something in between isn't known, ``lines`` are those of the single changes.
    """

    seq: int
    path: str
    lines: tuple[str, ...]
    added: int
    removed: int
    known: bool
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One call's change, whole: what was there before (None: not on the log) and after."""

    seq: int
    path: str
    before: str | None
    after: str
    known: bool


def changes(calls: Iterable[Call]) -> list[Change]:
    """The changes that calls (seq, tool name, input) made, in order."""
    return [
        Change(step.seq, step.path, *_shown(diff(step.before or "", step.after), MAX_LINES), known=step.known)
        for step in _steps(calls)
    ]


def files(calls: Iterable[Call], most_lines: int, most: int) -> list[Net]:
    """What became of the files that calls changed, at most ``most`` of them; the one changed last comes first."""
    by_path: dict[str, list[Step]] = {}
    for step in _steps(calls):
        by_path[step.path] = [*by_path.pop(step.path, []), step]
    return [_net(path, steps, most_lines) for path, steps in list(reversed(by_path.items()))[:most]]


def _net(path: str, steps: list[Step], most_lines: int) -> Net:
    known = all(step.known for step in steps)
    if known:
        lines = diff(steps[0].before or "", steps[-1].after)
    else:
        lines = [line for step in steps for line in diff(step.before or "", step.after)]
    shown, added, removed, cut = _shown(lines, most_lines)
    return Net(steps[-1].seq, path, shown, added, removed, known, cut)


def _shown(lines: list[str], most: int) -> tuple[tuple[str, ...], int, int, int]:
    """The first ``most`` lines; how many are added and removed in all; how many are left out."""
    added, removed = (sum(line.startswith(mark) for line in lines) for mark in "+-")
    return tuple(lines[:most]), added, removed, max(0, len(lines) - most)


def _steps(calls: Iterable[Call]) -> Iterator[Step]:
    contents: dict[str, str | None] = {}
    for seq, name, given in calls:
        path = str(given.get("file_path", ""))
        if not path:
            continue
        before = contents.get(path, "" if name == "write" else None)
        if name == "write":
            contents[path] = after = str(given.get("content", ""))
            yield Step(seq, path, before, after, known=before is not None)
            continue
        old, new = str(given.get("old_string", "")), str(given.get("new_string", ""))
        if before is not None and old in before:
            contents[path] = after = before.replace(old, new, -1 if given.get("replace_all") else 1)
            yield Step(seq, path, before, after, known=True)
        else:
            contents[path] = None
            yield Step(seq, path, old, new, known=False)


def diff(before: str, after: str) -> list[str]:
    """Lines of a unified diff, each with its mark and a space; "@@" lines between hunks."""
    if len(before) + len(after) > MAX_CHARACTERS:
        return [f"@@ too long to compare: {len(before):,} characters before, {len(after):,} after"]
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=CONTEXT_LINES, lineterm="")
    shown = islice(lines, 2, None)  # without the two lines that name the files
    return [line if line.startswith("@@") else f"{line[:1]} {line[1:]}" for line in shown]
