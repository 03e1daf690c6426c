"""Who may work together in a session: what its agent's ``multiagent`` allows (spec advanced 7). Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agents.tools import coordination as tools

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from agents.tools.coordination import TeamTool

Definition = "Mapping[str, Any]"
COORDINATOR = "coordinator"
ADVISOR_NAME = "anthropic.advisor"
TOOLSET = "agent_toolset_20260401"


@dataclass(frozen=True, slots=True)
class Part:
    """What may be started in one way (as subagents, by workflows): saved agents by name, and inline ones."""

    members: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    inline: bool = False

    @property
    def open(self) -> bool:
        return bool(self.members) or self.inline


@dataclass(frozen=True, slots=True)
class Team:
    """What a session's primary thread may call on. ``advisor`` is a model's id."""

    subagents: Part = field(default_factory=Part)
    workflows: Part = field(default_factory=Part)
    advisor: str | None = None


def team_of(snapshot: Mapping[str, Any]) -> Team:
    """The team of a session's agent snapshot, whose ``multiagent`` holds whole definitions."""
    multiagent = snapshot.get("multiagent")
    if multiagent is None:
        return Team()
    if multiagent["type"] == "coordinator":
        entries = multiagent["agents"]
        adviser = next((entry["model"] for entry in entries if entry["type"] == "advisor"), None)
        members = [entry for entry in entries if entry["type"] != "advisor"]
        return Team(subagents=Part(_named(members)), advisor=adviser)
    return Team(_part(multiagent["subagents"]), _part(multiagent["workflows"]), multiagent["advisor"].get("model"))


def _part(part: Mapping[str, Any]) -> Part:
    if part["type"] == "disabled":
        return Part()
    return Part(_named(part["predefined_agents"] or ()), inline=part["inline_agents"]["type"] == "enabled")


def _named(members: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """By name; a second agent of the same name goes by ``NAME-2``."""
    found: dict[str, Mapping[str, Any]] = {}
    for member in members:
        name, number = str(member["name"]), 1
        while name in found:
            number += 1
            name = f"{member['name']}-{number}"
        found[name] = member
    return found


def tools_of(team: Team, *, leads: bool) -> list[TeamTool]:
    """The coordination tools of a thread: of the primary one, or of one that it started."""
    if not leads:
        return [tools.SEND, tools.LIST, tools.TASKS]
    found: list[TeamTool] = []
    if team.subagents.open:
        found += [tools.SEND, tools.LIST, tools.START, tools.ARCHIVE, tools.TASKS]
    if team.advisor is not None:
        found.append(tools.ADVISE)
    if team.workflows.open:
        found += [tools.RUN_WORKFLOW, tools.STOP_WORKFLOW]
    return found


LEAD_NOTE = (
    "You lead a team of agents. Each works in a thread of its own, beside you, in the same sandbox. Start agents for "
    "work that can be done side by side, then end your turn: their reports arrive as messages by themselves. An agent "
    "that fails tells you so; decide what follows."
)
MEMBER_NOTE = (
    "You are one of several agents that work in one sandbox. Your task came from the agent that leads the session. The "
    "last thing that you write in a turn is sent to it as your report, so say there what you did and found. Write to "
    "another agent only when it must know something now."
)

RUN_NOTE = (
    "You are one of many agents that a plan has started, all in one sandbox. Do the task you are given; the last thing "
    "that you write is handed to the plan as your result, so make it exactly what the task asks for."
)


def lead_note(team: Team) -> str | None:
    """What the primary thread's system prompt says of its team."""
    if not team.subagents.open:
        return None
    lines = [
        f"- {name}: {member.get('description') or 'no description'}" for name, member in team.subagents.members.items()
    ]
    listed = ["Agents that you can start:", *lines] if lines else []
    own = ["You can also define agents of your own."] if team.subagents.inline else []
    return "\n".join([LEAD_NOTE, *listed, *own])


def inline_agent(
    snapshot: Mapping[str, Any],
    name: str,
    system: str,
    wanted: Sequence[str] | None,
    skills: Collection[str] | None = None,
) -> dict[str, Any]:
    """The definition of an agent that is not saved: the session agent's model, and what it may use of its tools.

    ``wanted`` names tools and MCP servers, ``skills`` versions of skills; None means all. Raises ``ValueError`` with a
    sentence about a name that the session's agent doesn't have.
    """
    kept = [_only(tool, wanted) for tool in snapshot["tools"]]
    tools_kept = [tool for tool in kept if tool is not None]
    known = {name for tool in snapshot["tools"] for name in _names(tool)}
    unknown = [name for name in wanted or () if name not in known]
    if unknown:
        raise ValueError(f"You have no tool or MCP server named {unknown[0]!r}.")
    servers = {tool["mcp_server_name"] for tool in tools_kept if tool["type"] == "mcp_toolset"}
    return {
        "type": "inline",
        "name": name,
        "model": snapshot["model"],
        "system": system,
        "tools": tools_kept,
        "mcp_servers": [server for server in snapshot["mcp_servers"] if server["name"] in servers],
        "skills": [skill for skill in snapshot["skills"] if skills is None or skill["version"] in skills],
        "execution_identity": snapshot["execution_identity"],
    }


BUILT_IN = ("bash", "read", "write", "edit", "glob", "grep", "web_fetch", "web_search")


def _names(tool: Mapping[str, Any]) -> list[str]:
    if tool["type"] == TOOLSET:
        return list(BUILT_IN)
    return [tool["mcp_server_name"] if tool["type"] == "mcp_toolset" else tool["name"]]


def _only(tool: Mapping[str, Any], wanted: Sequence[str] | None) -> dict[str, Any] | None:
    """A tool entry with only what is wanted of it; None if that is nothing."""
    if wanted is None:
        return dict(tool)
    if tool["type"] != TOOLSET:
        return dict(tool) if _names(tool)[0] in wanted else None
    default = tool["default_config"]
    configs = {config["name"]: config for config in tool["configs"]}
    chosen = [{"type": name, "name": name, **default, **configs.get(name, {})} for name in BUILT_IN if name in wanted]
    if not chosen:
        return None
    return {**tool, "default_config": {**default, "enabled": False}, "configs": chosen}
