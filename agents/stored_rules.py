"""Permission rules as they lie stored, also such as an earlier version took and this one refuses. Pure.

A rule that can't be read any more never loosens: one that allows matches nothing, any other asks about every call of
the tools that it names, or of all tools where even that can't be told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from agents.rules import Rule
from contract.sentences import complaint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOTHING = "(nothing)"  # no tool is called so
ABOUT = ("tool", "mcp_server")


def readable(stored: Sequence[Any]) -> list[Rule]:
    """The rules, each in its place; what can't be read is replaced as said above."""
    return [_rule(one) for one in stored]


def fault(stored: Any) -> str:
    """Why a stored rule can't be read, and what is done instead, as sentences; "" for one that can."""
    try:
        Rule.model_validate(stored)
    except ValidationError as error:
        why = complaint(dict(error.errors()[0])).rstrip(".")
        instead = _instead(stored)
        if instead.tool == NOTHING:
            return f"This version can't read the rule ({why}). Until it is changed, it allows nothing."
        tools = instead.tool or (f"tools of {instead.mcp_server}" if instead.mcp_server else "every tool")
        return f"This version can't read the rule ({why}). Until it is changed, it asks about every call of {tools}."
    return ""


def _rule(stored: Any) -> Rule:
    try:
        return Rule.model_validate(stored)
    except ValidationError:
        return _instead(stored)


def _instead(stored: Any) -> Rule:
    given: Mapping[str, Any] = stored if isinstance(stored, dict) else {}
    if given.get("effect") == "allow":
        return Rule(effect="allow", tool=NOTHING)
    about = {name: given[name] for name in ABOUT if given.get(name)}
    try:
        return Rule(effect="ask", **about)
    except ValidationError:
        return Rule(effect="ask")
