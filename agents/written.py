"""Between an agent's stored fields, what its editor shows, and the body the API would get. No database, no requests."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agents.mcp.tools import TOOLSET_TYPE as MCP_TOOLSET_TYPE
from agents.permitted import BUILT_IN, permission_of
from agents.policies import CUSTOM_TYPE, TOOLSET_TYPE
from contract.schema import OURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT: dict[str, Any] = {"enabled": True, "permission_policy": {"type": "always_allow"}}
TOOL_PLACES = {TOOLSET_TYPE: "tool_settings", CUSTOM_TYPE: "custom_tools", MCP_TOOLSET_TYPE: "mcp_toolsets"}
COMMON = ("type", "name", "enabled", "permission_policy")
CENTS = 100


def initial(spec: Mapping[str, Any], version: int) -> dict[str, Any]:
    """What the editor shows of a stored agent."""
    ours = spec.get(OURS) or {}
    limits = ours.get("limits") or {}
    configs = (toolset(spec) or {}).get("configs", ())
    own = {config["name"]: _settings(config) for config in configs if _settings(config)}
    return {
        "name": spec["name"],
        "description": spec["description"] or "",
        "model": spec["model"]["id"],
        "effort": spec["model"]["effort"]["type"],
        "speed": spec["model"].get("speed") or "standard",
        "inference_geo": spec["model"].get("inference_geo") or "",
        "fallback_models": ", ".join(ours.get("fallback_models") or ()),
        "system": spec["system"] or "",
        "tool_settings": _text(own),
        "custom_tools": _text(of_type(spec["tools"], CUSTOM_TYPE)),
        "mcp_servers": _text(spec["mcp_servers"]),
        "mcp_toolsets": _text(of_type(spec["tools"], MCP_TOOLSET_TYPE)),
        "permission_rules": _text(ours.get("permission_rules")),
        "skills": [skill["skill_id"] for skill in spec["skills"]],
        "multiagent": _text(spec["multiagent"]),
        "role_arn": spec["execution_identity"].get("role_arn", ""),
        "metadata": _text(spec["metadata"]),
        "version": version,
        **{f"limit_{name}": value for name, value in limits.items() if name != "list_cost"},
        "limit_dollars": _dollars(limits["list_cost"]["amount"]) if "list_cost" in limits else None,
    }


def body(data: Mapping[str, Any], spec: Mapping[str, Any] | None) -> dict[str, Any]:
    """The whole agent as the API takes it, of the editor's cleaned fields; ``spec`` is the version that is edited."""
    made: dict[str, Any] = {
        "name": data["name"],
        "description": data["description"] or None,
        "model": _model(data),
        "system": data["system"].replace("\r\n", "\n") or None,
        "tools": _tools(data, spec),
        "mcp_servers": data["mcp_servers"],
        "skills": _skills(data, spec),
        "multiagent": data["multiagent"] or None,
        "metadata": data["metadata"],
        OURS: _ours(data),
    }
    if data["role_arn"]:
        made["execution_identity"] = {"type": "aws_role", "role_arn": data["role_arn"]}
    return made if spec is not None else {key: value for key, value in made.items() if value not in (None, [], {})}


def changes(whole: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """Of a whole body, the fields that differ from a stored agent, in the form that an update clears them by."""
    now = _stored(spec)
    sent = {key: value for key, value in whole.items() if key != OURS and value != now[key]}
    if "tools" in sent and _alike(sent["tools"], spec["tools"]):
        del sent["tools"]
    if "execution_identity" not in whole and now["execution_identity"]["type"] != "service_account":
        sent["execution_identity"] = None
    if "metadata" in sent:
        sent["metadata"] = _patch(spec["metadata"], whole["metadata"])
    ours = _ours_changed(whole.get(OURS) or {}, spec.get(OURS) or {})
    return sent | ({OURS: ours} if ours else {})


def toolset(spec: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The built-in toolset of ``spec``; a new agent starts with all of it."""
    if spec is None:
        return {"default_config": DEFAULT, "configs": []}
    return next(iter(of_type(spec["tools"], TOOLSET_TYPE)), None)


def of_type(tools: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [tool for tool in tools if tool["type"] == kind]


def _dollars(cents: str) -> Decimal:
    return (Decimal(cents) / CENTS).quantize(Decimal("0.01"))


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) if value else ""


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a tool's entry holds besides whether it may run."""
    return {key: value for key, value in config.items() if key not in COMMON and value is not None}


def _model(data: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {"id": data["model"], "effort": data["effort"]}
    if data["speed"] and data["speed"] != "standard":
        chosen["speed"] = data["speed"]
    return chosen | ({"inference_geo": data["inference_geo"]} if data["inference_geo"] else {})


def _tools(data: Mapping[str, Any], spec: Mapping[str, Any] | None) -> list[Any]:
    """In the order the version has them; what is new comes last."""
    made = [*_toolset(data, spec), *data["mcp_toolsets"], *data["custom_tools"]]
    before = [_known(tool) for tool in (spec or {}).get("tools", ())]
    return sorted(made, key=lambda tool: before.index(_known(tool)) if _known(tool) in before else len(before))


def _known(tool: Any) -> tuple[Any, ...]:
    """What an entry is recognised by."""
    return tool.get("type"), tool.get("name"), tool.get("mcp_server_name")


def _toolset(data: Mapping[str, Any], spec: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The built-in toolset with only those entries changed whose permission or settings were."""
    stored = toolset(spec)
    chosen = {name: data[f"tool_{name}"] for name in BUILT_IN}
    wanted = data["tool_settings"]
    if stored is None and set(chosen.values()) == {"off"} and not wanted:
        return []
    current: Mapping[str, Any] = stored or {"default_config": DEFAULT, "configs": []}
    configs = {config["name"]: dict(config) for config in current["configs"]}
    for name, permission in chosen.items():
        if permission != permission_of(name, current):
            configs[name] = {**configs.get(name, {}), **_config(name, permission)}
    for name in {*wanted, *(name for name, config in configs.items() if _settings(config))}:
        own = wanted.get(name) or {}
        kept = {key: value for key, value in configs.get(name, {"name": name}).items() if key in COMMON}
        if own != _settings(configs.get(name, {})):
            configs[name] = {**kept, **own}
    return [{"type": TOOLSET_TYPE, "default_config": dict(current["default_config"]), "configs": [*configs.values()]}]


def _config(name: str, permission: str) -> dict[str, Any]:
    if permission == "off":
        return {"name": name, "enabled": False}
    return {"name": name, "enabled": True, "permission_policy": {"type": permission}}


def _skills(data: Mapping[str, Any], spec: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The chosen skills; those the agent has keep their version unless the newest is asked for."""
    pinned = {skill["skill_id"]: dict(skill) for skill in (spec or {}).get("skills", ())}
    order = [*(name for name in pinned if name in data["skills"]), *(n for n in data["skills"] if n not in pinned)]
    made = [pinned.get(name, {"type": "custom", "skill_id": name}) for name in order]
    if data["newest_skills"]:
        return [{key: value for key, value in skill.items() if key != "version"} for skill in made]
    return made


def _ours(data: Mapping[str, Any]) -> dict[str, Any]:
    limits = {
        name.removeprefix("limit_"): value
        for name, value in data.items()
        if name.startswith("limit_") and name != "limit_dollars" and value
    }
    if data["limit_dollars"]:
        limits["list_cost"] = {"amount": str(int(data["limit_dollars"] * CENTS)), "currency": "USD"}
    models = [name.strip() for name in data["fallback_models"].split(",") if name.strip()]
    made = {"permission_rules": data["permission_rules"], "limits": limits, "fallback_models": models}
    return {name: value for name, value in made.items() if value}


def _ours_changed(wanted: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for name in ("permission_rules", "fallback_models"):
        if wanted.get(name, []) != stored.get(name, []):
            changed[name] = wanted.get(name, [])
    limits = _patch(stored.get("limits", {}), wanted.get("limits", {}))
    return changed | ({"limits": limits} if limits else {})


def _patch(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What turns ``stored`` into ``wanted`` where null deletes."""
    gone = {name: None for name in stored if name not in wanted}
    return gone | {name: value for name, value in wanted.items() if stored.get(name) != value}


def _stored(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A stored agent in the body's own forms, to compare with."""
    model = spec["model"]
    chosen = {"id": model["id"], "effort": model["effort"]["type"]}
    if (model.get("speed") or "standard") != "standard":
        chosen["speed"] = model["speed"]
    chosen |= {"inference_geo": model["inference_geo"]} if model.get("inference_geo") else {}
    return {**spec, "model": chosen}


def _alike(sent: Sequence[Any], stored: Sequence[Any]) -> bool:
    """Whether the entries of two tool lists are the same, in whatever order."""
    return len(sent) == len(stored) and all(tool in stored for tool in sent)
