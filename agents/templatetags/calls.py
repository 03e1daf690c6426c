"""How a tool call looks: each built-in tool has a view of its own, everything else shows its JSON."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agents import rules, stored_rules
from agents.templatetags.holdfast import coloured
from contract.phrases import Told, mapped
from contract.phrases import marked as _
from contract.plain import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

register = template.Library()

SHOWN_LINES = 12


@dataclass(frozen=True, slots=True)
class CallView:
    """A call for people: ``headline`` says what it does, ``code`` is the evidence.

    ``folded`` code starts closed under ``summary``.
    """

    icon: str
    headline: str
    code: SafeString
    summary: str = ""
    folded: bool = False


def view_of(name: str, given: Mapping[str, Any]) -> CallView:
    """The view of a call. Input that doesn't fit its tool (a model can send anything) falls back to JSON."""
    view = _viewed(name, given)
    return replace(view, headline=mapped(view.headline, clean))


def _viewed(name: str, given: Mapping[str, Any]) -> CallView:
    viewer = VIEWERS.get(name)
    if viewer is not None:
        try:
            return viewer(given)
        except (LookupError, TypeError, AttributeError):
            return _plain(name, given)
    return _plain(name, given)


@register.simple_tag
def call_view(name: str, given: Mapping[str, Any]) -> CallView:
    """``{% call_view call.name call.input as view %}``."""
    return view_of(name, given)


@register.filter
def rule_words(rule: Mapping[str, Any]) -> str:
    """A permission rule as a sentence."""
    return rules.words(rule)


@register.filter
def rule_fault(rule: Mapping[str, Any]) -> str:
    """Why a stored rule can't be read by this version, and what is done instead; empty for one that can."""
    return stored_rules.fault(rule)


@register.filter
def as_json(value: Any) -> SafeString:
    """A value as indented, coloured JSON."""
    return coloured(json.dumps(value, indent=2, ensure_ascii=False, default=str), "json")


def _folded(text: str) -> bool:
    return text.count("\n") >= SHOWN_LINES


def _lines(phrase: str, text: str) -> str:
    return Told(phrase, n=text.count("\n") + 1)


def _bash(given: Mapping[str, Any]) -> CallView:
    if given.get("restart"):
        return CallView("command-line", Told(_("Restart the shell")), SafeString(""))
    command = given["command"].strip("\n")
    return CallView(
        "command-line",
        Told(_("Run")),
        coloured(command, "bash"),
        _lines(_("Command, lines: %(n)s"), command),
        _folded(command),
    )


def _write(given: Mapping[str, Any]) -> CallView:
    body = given["content"]
    return CallView(
        "document-text",
        Told(_("Write %(what)s"), what=given["file_path"]),
        coloured(body, filename=str(given["file_path"])),
        _lines(_("Content, lines: %(n)s"), body.rstrip(chr(10))),
        folded=True,
    )


def _edit(given: Mapping[str, Any]) -> CallView:
    before, after = given["old_string"].splitlines(), given["new_string"].splitlines()
    lines = [line for line in difflib.ndiff(before, after) if not line.startswith("?")]
    headline = Told(_("Edit %(what)s"), what=given["file_path"])
    return CallView("pencil-square", headline, diff_html(lines), Told(_("Change")), len(lines) > SHOWN_LINES)


def _read(given: Mapping[str, Any]) -> CallView:
    lines = given.get("view_range")
    what = given["file_path"]
    if not lines:
        return CallView("eye", Told(_("Read %(what)s"), what=what), SafeString(""))
    phrase = _("Read %(what)s, lines %(first)s to %(last)s")
    return CallView("eye", Told(phrase, what=what, first=lines[0], last=lines[1]), SafeString(""))


def _search(word: str, within: str) -> Callable[[Mapping[str, Any]], CallView]:
    def view(given: Mapping[str, Any]) -> CallView:
        headline = Told(within, where=given["path"]) if given.get("path") else Told(word)
        return CallView("magnifying-glass", headline, format_html("{}", clean(given["pattern"])))

    return view


def _plain(name: str, given: Mapping[str, Any]) -> CallView:
    text = json.dumps(given, indent=2, ensure_ascii=False, default=str)
    return CallView(
        "wrench-screwdriver",
        Told(_("Call %(tool)s"), tool=name),
        coloured(text, "json"),
        Told(_("Input")),
        _folded(text),
    )


VIEWERS: dict[str, Callable[[Mapping[str, Any]], CallView]] = {
    "bash": _bash,
    "write": _write,
    "edit": _edit,
    "read": _read,
    "glob": _search(_("Find files"), _("Find files in %(where)s")),
    "grep": _search(_("Search"), _("Search in %(where)s")),
}


@register.filter(name="diff")
def diff_html(lines: Sequence[str]) -> SafeString:
    """Lines of a diff ("+ ", "- ", "  ", "@@") as escaped spans, one a line."""
    kinds = {"+": "gi", "-": "gd", "@": "gu"}
    shown = [
        format_html('<span class="{}">{}\n</span>', kinds.get(line[:1], "gc"), clean(line.rstrip("\n")))
        for line in lines
    ]
    return SafeString("".join(shown))
