"""What an agent wrote: every change of a file as its calls made it, with what was there before. Pure.

Only ``write`` and ``edit`` calls that succeeded are told; what a command did to a file is seen in its outputs.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    known: bool
    cut: int = 0


def changes(calls: Iterable[tuple[int, str, Mapping[str, Any]]]) -> list[Change]:
    """The changes that calls (seq, tool name, input) made, in order."""
    contents: dict[str, str | None] = {}
    made = []
    for seq, name, given in calls:
        path = str(given.get("file_path", ""))
        if not path:
            continue
        before = contents.get(path, "" if name == "write" else None)
        if name == "write":
            after = str(given.get("content", ""))
            made.append(_change(seq, path, before, after))
            contents[path] = after
        else:
            old, new = str(given.get("old_string", "")), str(given.get("new_string", ""))
            if before is not None and old in before:
                after = before.replace(old, new) if given.get("replace_all") else before.replace(old, new, 1)
                made.append(_change(seq, path, before, after))
                contents[path] = after
            else:
                made.append(_change(seq, path, old, new, known=False))
                contents[path] = None
    return made


def diff(before: str, after: str) -> list[str]:
    """Lines of a unified diff, each with its mark and a space; "@@" lines between hunks."""
    if len(before) + len(after) > MAX_CHARACTERS:
        return [f"@@ too long to compare: {len(before):,} characters before, {len(after):,} after"]
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=CONTEXT_LINES, lineterm="")
    shown = [line for line in lines if not line.startswith(("---", "+++"))]
    return [line if line.startswith("@@") else f"{line[:1]} {line[1:]}" for line in shown]


def _change(seq: int, path: str, before: str | None, after: str, *, known: bool = True) -> Change:
    lines = diff(before or "", after)
    return Change(
        seq=seq,
        path=path,
        lines=tuple(lines[:MAX_LINES]),
        added=sum(line.startswith("+") for line in lines),
        removed=sum(line.startswith("-") for line in lines),
        known=known,
        cut=max(0, len(lines) - MAX_LINES),
    )
