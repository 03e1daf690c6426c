"""The ``tools`` and ``mcp_servers`` of an agent, with every default filled in and every rule checked (spec core 5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agents import webconfigs
from contract.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_TOOLS = 256
MAX_CUSTOM_DESCRIPTION = 10_000
MAX_SERVERS = 20
MAX_SERVER_NAME = 255
MAX_URL = 2_048
MAX_MCP_TOOL = 128
TOOLSET = "agent_toolset_20260401"
MCP_TOOLSET = "mcp_toolset"
TOOL_NAMES = ("bash", "read", "write", "edit", "glob", "grep", "web_fetch", "web_search")
CUSTOM_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
RESERVED = ("ant__", "mcp__")  # prefixes of tools that are not the operator's own
DEFAULT_POLICY = {TOOLSET: "always_allow", MCP_TOOLSET: "always_ask"}


def tools(entries: Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    """The tools array, resolved; null and [] both clear."""
    resolved = [_tool(f"tools.{index}", entry) for index, entry in enumerate(entries or ())]
    if sum(tool["type"] == TOOLSET for tool in resolved) > 1:
        raise InvalidRequest(f"tools: has {TOOLSET} more than once")
    names = [name for tool in resolved for name in named(tool)]
    count = len(names) + sum(len(tool["configs"]) for tool in resolved if tool["type"] == MCP_TOOLSET)
    if count > MAX_TOOLS:
        raise InvalidRequest(f"tools: has {count} tools; at most {MAX_TOOLS} are allowed")
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InvalidRequest(f"tools: the name {min(twice)!r} is used more than once")
    custom = [tool["name"] for tool in resolved if tool["type"] == "custom"]
    for index, tool in enumerate(resolved):
        if tool["type"] == TOOLSET:
            webconfigs.check_references(f"tools.{index}", tool, custom)
    return resolved


def named(tool: Mapping[str, Any]) -> list[str]:
    """The tools that an entry is known to offer; what an MCP server has shows when it is asked."""
    if tool["type"] == MCP_TOOLSET:
        return []
    if tool["type"] != TOOLSET:
        return [tool["name"]]
    own = {config["name"]: config["enabled"] for config in tool["configs"]}
    return [name for name in TOOL_NAMES if own.get(name, tool["default_config"]["enabled"])]


def _tool(where: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    if entry["type"] == "custom":
        return _custom(where, entry)
    default = _default(entry)
    configs = [
        _config(f"{where}.configs.{index}", config, default, entry["type"])
        for index, config in enumerate(entry.get("configs") or ())
    ]
    names = [config["name"] for config in configs]
    if len(set(names)) < len(names):
        raise InvalidRequest(f"{where}.configs: names a tool more than once")
    server = {"mcp_server_name": entry["mcp_server_name"]} if entry["type"] == MCP_TOOLSET else {}
    return {"type": entry["type"], **server, "default_config": default, "configs": configs}


def _custom(where: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    if not CUSTOM_NAME.fullmatch(entry["name"]):
        raise InvalidRequest(f"{where}.name: must be 1 to 128 letters, digits, underscores or hyphens")
    if entry["name"].startswith(RESERVED):
        raise InvalidRequest(f"{where}.name: must not begin with {' or '.join(RESERVED)}, which are reserved")
    if not 1 <= len(entry["description"]) <= MAX_CUSTOM_DESCRIPTION:
        raise InvalidRequest(f"{where}.description: must be 1 to {MAX_CUSTOM_DESCRIPTION} characters long")
    return {
        "type": "custom",
        "name": entry["name"],
        "description": entry["description"],
        "input_schema": dict(entry["input_schema"]),
    }


def _default(entry: Mapping[str, Any]) -> dict[str, Any]:
    sent = entry.get("default_config") or {}
    return {
        "enabled": _or(sent.get("enabled"), True),
        "permission_policy": dict(sent.get("permission_policy") or {"type": DEFAULT_POLICY[entry["type"]]}),
    }


def _config(where: str, config: Mapping[str, Any], default: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """One per-tool entry: what it leaves out comes from the toolset's default. Those of MCP servers have no type."""
    if kind == MCP_TOOLSET and not 1 <= len(config["name"]) <= MAX_MCP_TOOL:
        raise InvalidRequest(f"{where}.name: must be 1 to {MAX_MCP_TOOL} characters long")
    if config.get("type") not in (None, config["name"]):
        raise InvalidRequest(f"{where}.type: must be {config['name']}, like the name")
    return {
        **({"type": config["name"]} if kind == TOOLSET else {}),
        "name": config["name"],
        "enabled": _or(config.get("enabled"), default["enabled"]),
        "permission_policy": dict(config.get("permission_policy") or default["permission_policy"]),
        **(webconfigs.settings(where, config) if kind == TOOLSET else {}),
    }


def _or(value: bool | None, default: bool) -> bool:
    return default if value is None else value


def mcp_servers(entries: Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    """The servers an agent may reach, at most 20 under different names (spec advanced 3.1)."""
    entries = entries or ()
    if len(entries) > MAX_SERVERS:
        raise InvalidRequest(f"mcp_servers: at most {MAX_SERVERS} servers are allowed")
    for index, entry in enumerate(entries):
        _check_server(f"mcp_servers.{index}", entry)
    names = [entry["name"] for entry in entries]
    if len(set(names)) < len(names):
        raise InvalidRequest("mcp_servers: a name is used more than once")
    return [{"type": "url", "name": entry["name"], "url": entry["url"]} for entry in entries]


def _check_server(where: str, entry: Mapping[str, Any]) -> None:
    if not 1 <= len(entry["name"]) <= MAX_SERVER_NAME:
        raise InvalidRequest(f"{where}.name: must be 1 to {MAX_SERVER_NAME} characters long")
    if len(entry["url"]) > MAX_URL:
        raise InvalidRequest(f"{where}.url: must be at most {MAX_URL} characters long")
    if not _is_address(entry["url"]):
        raise InvalidRequest(
            f"{where}.url: must be an http or https address, without a sign-in in it; tokens belong into a vault"
        )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    plain = url.isprintable() and " " not in url and not parts.fragment and "@" not in parts.netloc
    return sound and plain and parts.scheme in ("http", "https")


def check_together(tools: Sequence[Mapping[str, Any]], servers: Sequence[Mapping[str, Any]]) -> None:
    """Every server is used by one ``mcp_toolset``, and every ``mcp_toolset`` names a server that is there."""
    declared = {server["name"] for server in servers}
    used: set[str] = set()
    for index, tool in enumerate(tools):
        if tool["type"] != MCP_TOOLSET:
            continue
        name = tool["mcp_server_name"]
        if name not in declared:
            raise InvalidRequest(f"tools.{index}.mcp_server_name: there is no {name!r} in mcp_servers")
        if name in used:
            raise InvalidRequest(f"tools.{index}.mcp_server_name: {name!r} has an mcp_toolset already")
        used.add(name)
    if declared - used:
        raise InvalidRequest(f"mcp_servers: {min(declared - used)!r} is not used by any mcp_toolset in tools")
