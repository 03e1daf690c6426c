"""The built-in tools by name, in the order in which agents get them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.policies import TOOLSET_TYPE
from agents.tools import toolset
from agents.tools.base import ToolDefinition, validate_input

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TOOLSET: dict[str, ToolDefinition] = {
    tool.name: tool
    for tool in (
        toolset.BASH,
        toolset.READ,
        toolset.WRITE,
        toolset.EDIT,
        toolset.GLOB,
        toolset.GREP,
        toolset.WEB_FETCH,
        toolset.WEB_SEARCH,
    )
}
# Tools that the toolset doesn't have; off unless an agent's additions ask for them.
READ_LOG = toolset.READ_LOG.name
OURS: dict[str, ToolDefinition] = {READ_LOG: toolset.READ_LOG}
SANDBOX_TOOLS = frozenset(tool.name for tool in TOOLSET.values() if tool.runs == "sandbox")


def find(name: str) -> ToolDefinition | None:
    """A built-in tool by its name."""
    return TOOLSET.get(name) or OURS.get(name)


def offered() -> tuple[str, ...]:
    """Names of the tools an agent can really have here."""
    return tuple(name for name, tool in TOOLSET.items() if tool.not_offered() is None)


def missing(tools: Iterable[Mapping[str, Any]]) -> str | None:
    """Why an agent's tools can't all be had here: only those count that were enabled by name, not by a default."""
    for tool in tools:
        if tool["type"] != TOOLSET_TYPE:
            continue
        for config in tool["configs"]:
            why = TOOLSET[config["name"]].not_offered() if config["enabled"] else None
            if why:
                return why
    return None


def check_input(name: str, tool_input: Mapping[str, Any]) -> str | None:
    """Why a call of a built-in tool cannot be run, as the text of its result; None if it can."""
    tool = find(name)
    if tool is None:
        return f"There is no tool named {name}."
    if why := tool.not_offered():
        return why
    # A null is how some models leave an optional field out.
    required = tool.input_schema["required"]
    given = {key: value for key, value in tool_input.items() if value is not None or key in required}
    fault = validate_input(tool.input_schema, given)
    return None if fault is None else f"{name}: {fault}"
