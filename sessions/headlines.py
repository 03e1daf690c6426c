"""A call of a tool in one short line, for lists where its whole view has no room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contract.phrases import Told
from contract.phrases import marked as _
from contract.plain import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 160
VERBS = {
    "write": _("Write %(what)s"),
    "edit": _("Edit %(what)s"),
    "read": _("Read %(what)s"),
    "glob": _("Find %(what)s"),
    "grep": _("Search %(what)s"),
    "web_fetch": _("Fetch %(what)s"),
}
ABOUT = ("file_path", "pattern", "url", "query", "path")  # the part of an input that tells most, the first there is


def of_call(name: str, given: Mapping[str, Any]) -> str:
    """``$ make test``, ``Write notes.md``, ``Call weather``."""
    if name == "bash" and isinstance(given.get("command"), str):
        return short(f"$ {given['command']}")
    about = next((given[key] for key in ABOUT if isinstance(given.get(key), str)), None)
    if about is None:
        return Told(_("Call %(tool)s"), tool=short(name))
    if name in VERBS:
        return Told(VERBS[name], what=short(about))
    return Told(_("Call %(tool)s: %(what)s"), tool=short(name), what=short(about))


def short(text: str) -> str:
    """On one line, of at most ``LONGEST`` characters."""
    line = " ".join(clean(text[: LONGEST * 2]).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
