"""Requests turned into what is stored and shown: every default filled in, every rule checked (spec core 4).

The stored fields of an agent, its ``spec``, are those of spec core 4.1. What names other objects is looked up by
``agents.references`` and ``agents.rosters``; nothing here asks the database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents import additions, toolsets
from agents.pricing import is_priced
from contract.errors import InvalidRequest
from contract.schema import OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_NAME = 256
MAX_DESCRIPTION = 2_048
MAX_SYSTEM = 100_000
MAX_ROLE_ARN = 2_048
GEOS = ("us", "global")
DEFAULT_EFFORT = "high"
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


def model_id(field: str, value: str) -> str:
    if not value.strip():
        raise InvalidRequest(f"{field}: must not be empty")
    if len(value) > MAX_NAME:
        raise InvalidRequest(f"{field}: must be at most {MAX_NAME} characters long")
    return value


def model(value: str | Mapping[str, Any], stored: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The model object of spec core 4.2. With ``stored`` (an update) an omitted effort survives if
    the id stays the same; speed and geography never do.
    """
    config: Mapping[str, Any] = {"id": value} if isinstance(value, str) else value
    chosen = model_id("model", config["id"])
    geo = config.get("inference_geo")
    if geo is not None and geo not in GEOS:
        raise InvalidRequest(f"model.inference_geo: must be one of: {', '.join(GEOS)}")
    speed = config.get("speed") or "standard"
    if is_priced(chosen) and not is_priced(chosen, speed=speed):
        raise InvalidRequest(f"model.speed: {speed} is not offered for {chosen}")
    if is_priced(chosen) and not is_priced(chosen, geo=geo):
        raise InvalidRequest(f"model.inference_geo: {geo} is not offered for {chosen}")
    return {"id": chosen, "effort": _effort(config, stored), "speed": speed, "inference_geo": geo}


def _effort(config: Mapping[str, Any], stored: Mapping[str, Any] | None) -> dict[str, str]:
    effort = config.get("effort")
    if effort is None:
        kept = stored is not None and stored["id"] == config["id"]
        return dict(stored["effort"]) if stored and kept else {"type": DEFAULT_EFFORT}
    return {"type": effort if isinstance(effort, str) else effort["type"]}


def execution_identity(sent: Mapping[str, Any] | None) -> dict[str, Any]:
    """Whom the agent acts as; null restores the default."""
    if sent is None or sent["type"] == "service_account":
        return dict(DEFAULT_IDENTITY)
    if not 1 <= len(sent["role_arn"]) <= MAX_ROLE_ARN or not sent["role_arn"].startswith("arn:"):
        raise InvalidRequest(
            f"execution_identity.role_arn: must be an ARN, at most {MAX_ROLE_ARN} characters long, "
            "such as arn:aws:iam::123456789012:role/runner"
        )
    return {"type": "aws_role", "role_arn": sent["role_arn"]}


RESOLVERS: dict[str, Callable[[Any], Any]] = {
    "description": description,
    "system": system,
    "tools": toolsets.tools,
    "mcp_servers": toolsets.mcp_servers,
    "execution_identity": execution_identity,
}
OVERRIDABLE = ("system", "tools", "mcp_servers")


def agent(body: Mapping[str, Any]) -> dict[str, Any]:
    """The stored fields of a new agent (spec core 4.3) but skills, multiagent and metadata."""
    asked = model(body["model"])
    ours = additions.merged({}, body.get(OURS), asked["id"])
    additions.check_fallbacks(asked["id"], ours.get("fallback_models", ()))
    return {
        "name": name("name", body["name"]),
        "model": asked,
        **{field: resolver(body.get(field)) for field, resolver in RESOLVERS.items()},
    } | _ours(ours)


def changed_agent(spec: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """``spec`` with an update laid over it (spec core 4.4); fields not sent are kept."""
    changed = dict(spec)
    if "name" in body:
        changed["name"] = name("name", body["name"])
    if "model" in body:
        changed["model"] = model(body["model"], spec["model"])
    changed.update({field: resolver(body[field]) for field, resolver in RESOLVERS.items() if field in body})
    ours = additions.merged(changed.pop(OURS, None), body.get(OURS), changed["model"]["id"])
    if "model" in body or "fallback_models" in (body.get(OURS) or {}):
        additions.check_fallbacks(changed["model"]["id"], ours.get("fallback_models", ()))
    return changed | _ours(ours)


def _ours(fields: dict[str, Any]) -> dict[str, Any]:
    """Our own fields, under their key if there are any."""
    return {OURS: fields} if fields else {}


def overridden_agent(spec: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """``spec`` with a session's overrides (spec core 8.3): each replaces the whole field."""
    changed = dict(spec)
    if "model" in override:
        changed["model"] = model(override["model"])
        additions.merged(changed.get(OURS), None, changed["model"]["id"])  # its limits must fit the other model, too
    changed.update({field: RESOLVERS[field](override[field]) for field in OVERRIDABLE if field in override})
    return changed


def check_whole(spec: Mapping[str, Any]) -> None:
    """The rules between fields: servers and their toolsets, skills and the tool that reads them."""
    toolsets.check_together(spec["tools"], spec["mcp_servers"])
    readable = any("read" in toolsets.named(tool) for tool in spec["tools"] if tool["type"] == toolsets.TOOLSET)
    if spec["skills"] and not readable:
        raise InvalidRequest(f"skills: need the tool read of {toolsets.TOOLSET}; enable it in tools, or clear skills")
