"""Which tools an agent may use, and whether a call needs a person first (spec core 5). Pure.

Works on the resolved ``tools`` array of an agent snapshot, where every toolset carries its
``default_config`` and its ``configs``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from agents.mcp.tools import McpTool
    from agents.tools.coordination import TeamTool

TOOLSET_TYPE = "agent_toolset_20260401"
CUSTOM_TYPE = "custom"


@dataclass(frozen=True, slots=True)
class Grant:
    """A tool the agent may name. ``policy`` is None for custom tools: their client decides.

    ``team``: the coordination tool that it is; those have no policy.
    ``config``: the resolved entry of a built-in tool. ``mcp``: the MCP server's tool that the model knows as ``name``.
    """

    name: str
    policy: str | None
    custom: Mapping[str, Any] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    mcp: McpTool | None = None
    team: TeamTool | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a call was judged, in the fields of ``agent.tool_use`` (spec core 5.3).

    ``evaluation`` is None when the call was refused before any policy applied.
    """

    evaluated_permission: str
    evaluation: Mapping[str, Any] | None


ALLOW = Verdict("allow", {"type": "always_allow"})
ASK = Verdict("ask", {"type": "always_ask"})
NOT_ENABLED = Verdict("deny", None)


def grants(tools: Sequence[Mapping[str, Any]], known: Collection[str]) -> dict[str, Grant]:
    """The tools an agent may use, by name, in a stable order; ``known`` names the built-in ones."""
    found: dict[str, Grant] = {}
    for tool in tools:
        if tool["type"] == TOOLSET_TYPE:
            found.update(_toolset(tool, known))
        elif tool["type"] == CUSTOM_TYPE:
            found[tool["name"]] = Grant(tool["name"], None, tool)
    return found


def _toolset(tool: Mapping[str, Any], known: Collection[str]) -> dict[str, Grant]:
    default = tool["default_config"]
    configs = {config["name"]: config for config in tool.get("configs", ())}
    found = {}
    for name in known:
        config = {**default, **configs.get(name, {})}
        if config["enabled"]:
            found[name] = Grant(name, config["permission_policy"]["type"], config=config)
    return found


def judge(grant: Grant | None) -> Verdict:
    """Judge a call by its tool's grant; a tool that was not granted is denied."""
    if grant is None:
        return NOT_ENABLED
    return ASK if grant.policy == "always_ask" else ALLOW


def refusal(tool_name: str) -> str:
    """The text of the error result of a denied call (spec core 5.3)."""
    return f"Permission to use {tool_name} has been denied."
