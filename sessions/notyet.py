"""What the API lets people write down but this version can't carry out: refused here, never silently dropped.

One small entry for each. Whoever builds an engine deletes its entry, and nothing else changes. An entry of
``ENTRIES`` looks at what a session would need and returns the field and what is not supported, or None.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from contract.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WEB_TOOLS = ("web_fetch", "web_search")
NOTHING: Mapping[str, Any] = {}

Refusal = tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a session would need: ``agent`` is its snapshot, ``environment`` the environment's config."""

    agent: Mapping[str, Any]
    environment: Mapping[str, Any] = field(default_factory=dict)
    vault_ids: Sequence[str] = ()
    resources: Sequence[Mapping[str, Any]] = ()


def mcp_servers(wanted: Wanted) -> Refusal:
    return ("agent.mcp_servers", "MCP servers are") if wanted.agent["mcp_servers"] else None


def web_tools(wanted: Wanted) -> Refusal:
    """Only those that were asked for by name: a toolset's default enables all tools, and they are not offered."""
    for tool in wanted.agent["tools"]:
        for config in tool.get("configs", ()):
            if tool["type"] == "agent_toolset_20260401" and config["name"] in WEB_TOOLS and config["enabled"]:
                return "agent.tools", f"the tool {config['name']} is"
    return None


def skills(wanted: Wanted) -> Refusal:
    return ("agent.skills", "skills are") if wanted.agent["skills"] else None


def multiagent(wanted: Wanted) -> Refusal:
    return ("agent.multiagent", "agents with a multiagent are") if wanted.agent["multiagent"] else None


def execution_identity(wanted: Wanted) -> Refusal:
    other = wanted.agent["execution_identity"]["type"] != "service_account"
    return ("agent.execution_identity", "execution identities other than service_account are") if other else None


def packages(wanted: Wanted) -> Refusal:
    lists = [names for key, names in wanted.environment.get("packages", NOTHING).items() if key != "type"]
    return ("environment_id", "environments with packages are") if any(lists) else None


def vaults(wanted: Wanted) -> Refusal:
    return ("vault_ids", "vaults are") if wanted.vault_ids else None


def repositories(wanted: Wanted) -> Refusal:
    return _resource(wanted, "github_repository")


def memory_stores(wanted: Wanted) -> Refusal:
    return _resource(wanted, "memory_store")


def _resource(wanted: Wanted, kind: str) -> Refusal:
    for index, one in enumerate(wanted.resources):
        if one["type"] == kind:
            return f"resources.{index}", f"{kind} resources are"
    return None


ENTRIES = (
    mcp_servers,
    web_tools,
    skills,
    multiagent,
    execution_identity,
    packages,
    vaults,
    repositories,
    memory_stores,
)
EVENTS = {"user.define_outcome": "outcomes are"}


def check(wanted: Wanted) -> None:
    """Refuse a session, or a change of one, that this version could not run."""
    for entry in ENTRIES:
        refused = entry(wanted)
        if refused is not None:
            raise refuse(*refused)


def check_event(where: str, event_type: str) -> None:
    """Refuse an event that nothing would act on."""
    if event_type in EVENTS:
        raise refuse(f"{where}.type", EVENTS[event_type])


def refuse(name: str, what: str) -> InvalidRequest:
    """The error that names one field; ``what`` reads on as "… not supported"."""
    return InvalidRequest(f"{name}: {what} not supported in sessions of this version of Holdfast")
