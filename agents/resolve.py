"""Requests turned into what is stored and shown: every default filled in, every rule checked (spec core 4, 5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agents import additions, notyet
from agents.pricing import is_priced
from contract.errors import InvalidRequest
from contract.schema import OURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_NAME = 256
MAX_DESCRIPTION = 2_048
MAX_SYSTEM = 100_000
MAX_TOOLS = 256
MAX_CUSTOM_DESCRIPTION = 10_000
TOOLSET = "agent_toolset_20260401"
TOOL_NAMES = ("bash", "read", "write", "edit", "glob", "grep", "web_fetch", "web_search")
CUSTOM_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
GEOS = ("us", "global")
DEFAULT_EFFORT = "high"
DEFAULT_POLICY = {"type": "always_allow"}
DEFAULT_IDENTITY = {"type": "service_account"}


def text(field: str, value: str | None, limit: int) -> str | None:
    """A clearable text: null and "" are both stored as null."""
    if value is not None and len(value) > limit:
        raise InvalidRequest(f"{field}: must be at most {limit} characters long")
    return value or None


def name(field: str, value: str) -> str:
    if not value.strip():
        raise InvalidRequest(f"{field}: must not be empty")
    if len(value) > MAX_NAME:
        raise InvalidRequest(f"{field}: must be at most {MAX_NAME} characters long")
    return value


def description(value: str | None) -> str | None:
    return text("description", value, MAX_DESCRIPTION)


def system(value: str | None) -> str | None:
    return text("system", value, MAX_SYSTEM)


def model(value: str | Mapping[str, Any], stored: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The model object of spec core 4.2. With ``stored`` (an update) an omitted effort survives if
    the id stays the same; speed and geography never do.
    """
    config: Mapping[str, Any] = {"id": value} if isinstance(value, str) else value
    if not config["id"].strip():
        raise InvalidRequest("model: must not be empty")
    if len(config["id"]) > MAX_NAME:
        raise InvalidRequest(f"model: must be at most {MAX_NAME} characters long")
    geo = config.get("inference_geo")
    if geo is not None and geo not in GEOS:
        raise InvalidRequest(f"model.inference_geo: must be one of: {', '.join(GEOS)}")
    speed = config.get("speed") or "standard"
    if is_priced(config["id"]) and not is_priced(config["id"], speed=speed):
        raise InvalidRequest(f"model.speed: {speed} is not offered for {config['id']}")
    if is_priced(config["id"]) and not is_priced(config["id"], geo=geo):
        raise InvalidRequest(f"model.inference_geo: {geo} is not offered for {config['id']}")
    return {
        "id": config["id"],
        "effort": _effort(config, stored),
        "speed": speed,
        "inference_geo": geo,
    }


def _effort(config: Mapping[str, Any], stored: Mapping[str, Any] | None) -> dict[str, str]:
    effort = config.get("effort")
    if effort is None:
        kept = stored is not None and stored["id"] == config["id"]
        return dict(stored["effort"]) if stored and kept else {"type": DEFAULT_EFFORT}
    return {"type": effort if isinstance(effort, str) else effort["type"]}


def tools(entries: Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    """The tools array of spec core 5, resolved; null and [] both clear."""
    resolved = [_tool(f"tools.{index}", entry) for index, entry in enumerate(entries or ())]
    if sum(tool["type"] == TOOLSET for tool in resolved) > 1:
        raise InvalidRequest(f"tools: has {TOOLSET} more than once")
    names = [name for tool in resolved for name in _names(tool)]
    if len(names) > MAX_TOOLS:
        raise InvalidRequest(f"tools: has {len(names)} tools; at most {MAX_TOOLS} are allowed")
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InvalidRequest(f"tools: the name {min(twice)!r} is used more than once")
    return resolved


def _names(tool: Mapping[str, Any]) -> list[str]:
    if tool["type"] != TOOLSET:
        return [tool["name"]]
    own = {config["name"]: config["enabled"] for config in tool["configs"]}
    return [name for name in TOOL_NAMES if own.get(name, tool["default_config"]["enabled"])]


def _tool(where: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    notyet.check_tool(where, entry)
    if entry["type"] == TOOLSET:
        return _toolset(where, entry)
    if not CUSTOM_NAME.fullmatch(entry["name"]):
        raise InvalidRequest(f"{where}.name: must be 1 to 128 letters, digits, underscores or hyphens")
    if len(entry["description"]) > MAX_CUSTOM_DESCRIPTION:
        raise InvalidRequest(f"{where}.description: must be at most {MAX_CUSTOM_DESCRIPTION} characters long")
    return {
        "type": "custom",
        "name": entry["name"],
        "description": entry["description"],
        "input_schema": dict(entry["input_schema"]),
    }


def _toolset(where: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    default = entry.get("default_config") or {}
    notyet.check_tool_config(f"{where}.default_config", default)
    resolved = {
        "enabled": _or(default.get("enabled"), True),
        "permission_policy": dict(default.get("permission_policy") or DEFAULT_POLICY),
    }
    configs = [
        _tool_config(f"{where}.configs.{index}", config, resolved)
        for index, config in enumerate(entry.get("configs") or ())
    ]
    names = [config["name"] for config in configs]
    if len(set(names)) < len(names):
        raise InvalidRequest(f"{where}.configs: names a tool more than once")
    return {"type": TOOLSET, "default_config": resolved, "configs": configs}


def _tool_config(where: str, config: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    """One per-tool entry: what it leaves out comes from the toolset's default."""
    notyet.check_tool_config(where, config)
    return {
        "type": config["name"],
        "name": config["name"],
        "enabled": _or(config.get("enabled"), default["enabled"]),
        "permission_policy": dict(config.get("permission_policy") or default["permission_policy"]),
    }


def _or(value: bool | None, default: bool) -> bool:
    return default if value is None else value


def agent(body: Mapping[str, Any]) -> dict[str, Any]:
    """The stored fields of a new agent (spec core 4.3) but its metadata."""
    notyet.check_agent(body)
    return {
        "name": name("name", body["name"]),
        "description": description(body.get("description")),
        "model": model(body["model"]),
        "system": system(body.get("system")),
        "tools": tools(body.get("tools")),
        "mcp_servers": [],
        "skills": [],
        "multiagent": None,
        "execution_identity": dict(DEFAULT_IDENTITY),
    } | _ours(additions.merged({}, body.get(OURS), _model_id(body)))


def changed_agent(spec: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """``spec`` with an update laid over it (spec core 4.4); fields not sent are kept."""
    notyet.check_agent(body)
    changed = dict(spec)
    if "name" in body:
        changed["name"] = name("name", body["name"])
    if "model" in body:
        changed["model"] = model(body["model"], spec["model"])
    for field, resolver in (("description", description), ("system", system), ("tools", tools)):
        if field in body:
            changed[field] = resolver(body[field])
    ours = additions.merged(changed.pop(OURS, None), body.get(OURS), changed["model"]["id"])
    return changed | _ours(ours)


def _model_id(body: Mapping[str, Any]) -> str:
    return str(model(body["model"])["id"])


def _ours(fields: dict[str, Any]) -> dict[str, Any]:
    """Our own fields, under their key if there are any."""
    return {OURS: fields} if fields else {}


def overridden_agent(spec: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """``spec`` with a session's overrides (spec core 8.3): each replaces the whole field."""
    notyet.check_agent(override)
    changed = dict(spec)
    if "model" in override:
        changed["model"] = model(override["model"])
        additions.merged(changed.get(OURS), None, changed["model"]["id"])  # its limits must fit the other model, too
    if "system" in override:
        changed["system"] = system(override["system"])
    if "tools" in override:
        changed["tools"] = tools(override["tools"])
    return changed
