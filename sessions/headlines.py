"""A call of a tool in one short line, for lists where its whole view has no room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contract.plain import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 160
VERBS = {"write": "Write", "edit": "Edit", "read": "Read", "glob": "Find", "grep": "Search", "web_fetch": "Fetch"}
ABOUT = ("file_path", "pattern", "url", "query", "path")  # the part of an input that tells most, the first there is


def of_call(name: str, given: Mapping[str, Any]) -> str:
    """``$ make test``, ``Write notes.md``, ``Call weather``."""
    if name == "bash" and isinstance(given.get("command"), str):
        return _short(f"$ {given['command']}")
    about = next((given[key] for key in ABOUT if isinstance(given.get(key), str)), None)
    if about is None:
        return _short(f"Call {name}")
    return _short(f"{VERBS.get(name, f'Call {name}:')} {about}")


def _short(text: str) -> str:
    line = " ".join(clean(text[: LONGEST * 2]).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
