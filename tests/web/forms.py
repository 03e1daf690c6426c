"""Forms as a browser sends them: what a page's fields hold, by name, each with all its values."""

from __future__ import annotations

from html import unescape
from typing import TYPE_CHECKING, Any

from tests.web.dom import parse

if TYPE_CHECKING:
    from tests.web.dom import Node

UNSENT = ("submit", "button", "file", "reset")


def filled(page: str) -> dict[str, list[str]]:
    """What the page's main form holds; line breaks become CR LF, as on the wire."""
    root = next(node for node in parse(page).every() if "sheet" in (node.attributes.get("class") or "").split())
    found: dict[str, list[str]] = {}
    for node in root.every():
        name = node.attributes.get("name")
        if name:
            for value in _values(node):
                found.setdefault(name, []).append(value.replace("\r\n", "\n").replace("\n", "\r\n"))
    return found


def _values(node: Node) -> list[str]:
    if node.tag == "textarea":
        return [unescape(node.text()).removeprefix("\n")]
    if node.tag == "select":
        options = [one for one in node.every() if one.tag == "option"]
        chosen = [one for one in options if "selected" in one.attributes]
        return [_option(one) for one in chosen or options[:1]]
    if node.tag != "input" or node.attributes.get("type") in UNSENT:
        return []
    if node.attributes.get("type") in ("checkbox", "radio") and "checked" not in node.attributes:
        return []
    return [node.attributes.get("value") or ("on" if node.attributes.get("type") == "checkbox" else "")]


def _option(node: Node) -> str:
    value: Any = node.attributes.get("value")
    return unescape(node.text()) if value is None else str(value)


def no_rows(*prefixes: str) -> dict[str, str]:
    """What a form sends of rows that are none."""
    return {f"{prefix}-{name}_FORMS": "0" for prefix in prefixes for name in ("TOTAL", "INITIAL")}


NO_START_ROWS = no_rows("files", "stores", "repositories", "rules", "metadata")
