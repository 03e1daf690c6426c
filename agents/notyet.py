"""What the API knows but this version can't carry out. Asking for it is refused, never silently dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contract.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

WEB_TOOLS = frozenset({"web_fetch", "web_search"})


def refuse(field: str, what: str) -> InvalidRequest:
    """The error that names one field; ``what`` reads on as "… not supported"."""
    return InvalidRequest(f"{field}: {what} not supported by this version of Holdfast; leave the field out")


def check_agent(fields: Mapping[str, Any]) -> None:
    """Refuse parts of an agent, or of an override, that can't run yet."""
    if fields.get("mcp_servers"):
        raise refuse("mcp_servers", "MCP servers are")
    if fields.get("skills"):
        raise refuse("skills", "skills are")
    if fields.get("multiagent"):
        raise refuse("multiagent", "multiagent configurations are")
    identity = fields.get("execution_identity")
    if identity and identity["type"] != "service_account":
        raise refuse("execution_identity", "execution identities other than service_account are")


def check_tool(where: str, tool: Mapping[str, Any]) -> None:
    """Refuse a kind of tool that can't run yet."""
    if tool["type"] == "mcp_toolset":
        raise refuse(where, "MCP toolsets are")


def check_tool_config(where: str, config: Mapping[str, Any]) -> None:
    """Refuse a tool setting that can't be kept yet."""
    if config.get("name") in WEB_TOOLS and config.get("enabled", True) is not False:
        raise refuse(where, f"the tool {config['name']} is")


def check_environment(config: Mapping[str, Any]) -> None:
    """Refuse environments whose sandboxes can't be made yet."""
    if config["type"] == "self_hosted":
        raise refuse("config", "self_hosted environments are")
    packages = config.get("packages") or {}
    if any(names for manager, names in packages.items() if manager != "type"):
        raise refuse("config.packages", "package lists are")
