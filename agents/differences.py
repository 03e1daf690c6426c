"""What changed between two versions of an agent, line by line of what a person can read."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

from agents.templatetags.calls import diff_html
from contract.schema import OURS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.utils.safestring import SafeString

READABLE = (
    "name",
    "description",
    "model",
    "system",
    "tools",
    "mcp_servers",
    "skills",
    "multiagent",
    "execution_identity",
    "metadata",
    OURS,
)


def spec_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> SafeString:
    """A unified diff of the readable form of two specs; "" if nothing differs."""
    return text_diff(readable(before), readable(after))


def text_diff(before: list[str], after: list[str]) -> SafeString:
    """A unified diff of two lists of lines, as coloured lines; "" if nothing differs."""
    lines = difflib.unified_diff(before, after, n=3, lineterm="")
    return diff_html([line for line in lines if not line.startswith(("---", "+++"))])


def readable(spec: Mapping[str, Any]) -> list[str]:
    """An agent's fields as lines, without those that are empty."""
    lines = []
    for key in READABLE:
        value = spec.get(key)
        if value in (None, [], {}):
            continue
        text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
        head, *rest = text.splitlines() or [""]
        lines += [f"{key}: {head}", *(f"  {line}" for line in rest)]
    return lines
