"""Between an agent's stored fields, what its editor shows, and the body the API would get. No database, no requests."""

from __future__ import annotations

from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any

from agents.permitted import BUILT_IN, permission_of
from agents.policies import CUSTOM_TYPE, TOOLSET_TYPE
from agents.toolsets import MCP_TOOLSET
from contract.schema import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DEFAULT: dict[str, Any] = {"enabled": True, "permission_policy": {"type": "always_allow"}}
COMMON = ("type", "name", "enabled", "permission_policy")
CENTS = 100


def initial(spec: Mapping[str, Any], version: int) -> dict[str, Any]:
    """What the editor shows of a stored agent."""
    ours = spec.get(OURS) or {}
    limits = ours.get("limits") or {}
    return {
        "name": spec["name"],
        "description": spec["description"] or "",
        "model": spec["model"]["id"],
        "effort": spec["model"]["effort"]["type"],
        "speed": spec["model"].get("speed") or "standard",
        "inference_geo": spec["model"].get("inference_geo") or "",
        "fallback_models": _lines(ours.get("fallback_models")),
        "read_log": bool(ours.get("read_log")),
        "system": spec["system"] or "",
        "role_arn": spec["execution_identity"].get("role_arn", ""),
        "version": version,
        **{f"limit_{name}": value for name, value in limits.items() if name != "list_cost"},
        "limit_dollars": _dollars(limits["list_cost"]["amount"]) if "list_cost" in limits else None,
    }


def body(data: Mapping[str, Any], spec: Mapping[str, Any] | None, *, new: bool) -> dict[str, Any]:
    """The whole agent as the API takes it, of the editor's cleaned fields; ``spec`` is what the editor began with.

    What a page can't send back as it was (other line breaks, spaces at the ends of names) is kept unless changed.
    """
    before = spec or {}
    made: dict[str, Any] = {
        "name": _kept(data["name"], before.get("name")),
        "description": _kept(data["description"], before.get("description")) or None,
        "model": _model(data, before.get("model") or {}),
        "system": _kept(data["system"], before.get("system"), ends=True) or None,
        "tools": tools(data, spec),
        "mcp_servers": data["mcp_servers"],
        "skills": data["skills"],
        "multiagent": data["multiagent"],
        "metadata": data["metadata"],
        OURS: _ours(data, before.get(OURS) or {}),
    }
    if data["role_arn"]:
        made["execution_identity"] = {"type": "aws_role", "role_arn": data["role_arn"]}
    return {key: value for key, value in made.items() if not new or value not in (None, [], {})}


def changes(whole: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """Of a whole body, the fields that differ from a stored agent, in the form that an update clears them by."""
    now = _stored(spec)
    sent = {key: value for key, value in whole.items() if key != OURS and not _same(value, now[key])}
    if "execution_identity" not in whole and now["execution_identity"]["type"] != "service_account":
        sent["execution_identity"] = None
    if "metadata" in sent:
        sent["metadata"] = _patch(spec["metadata"], whole["metadata"])
    ours = _ours_changed(whole.get(OURS) or {}, spec.get(OURS) or {})
    return sent | ({OURS: ours} if ours else {})


def tools(data: Mapping[str, Any], spec: Mapping[str, Any] | None) -> list[Any]:
    """Those of each kind in their order, where the version has that kind; more of a kind, and new kinds, come last."""
    before = [_known(tool) for tool in (spec or {}).get("tools", ())]
    served = sorted(
        data["mcp_toolsets"], key=lambda tool: before.index(_known(tool)) if _known(tool) in before else 999
    )
    made: dict[str, Iterator[Any]] = {
        TOOLSET_TYPE: iter(_toolset(data, spec)),
        MCP_TOOLSET: iter(served),
        CUSTOM_TYPE: iter(data["custom_tools"]),
    }
    placed = [tool for kind, _name in before for tool in (next(made[kind], None),) if tool is not None]
    return [*placed, *chain.from_iterable(made.values())]


def served(spec: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Each MCP server of an agent with its toolset."""
    toolsets = {tool["mcp_server_name"]: tool for tool in of_type(spec.get("tools", ()), MCP_TOOLSET)}
    return [(server, toolsets[server["name"]]) for server in spec.get("mcp_servers", ())]


def settings_of(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the entries of the built-in tools hold besides whether they may run."""
    found = next(iter(of_type(spec.get("tools", ()), TOOLSET_TYPE)), {})
    return {config["name"]: _settings(config) for config in found.get("configs", ()) if _settings(config)}


def toolset(spec: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The built-in toolset of ``spec``; a new agent starts with all of it."""
    if spec is None:
        return {"default_config": DEFAULT, "configs": []}
    return next(iter(of_type(spec["tools"], TOOLSET_TYPE)), None)


def of_type(tools: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [tool for tool in tools if tool["type"] == kind]


def _dollars(cents: str) -> Decimal:
    return (Decimal(cents) / CENTS).quantize(Decimal("0.01"))


def _lines(values: Sequence[str] | None) -> str:
    return "\n".join(values or ())


def _breaks(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _kept(typed: str, stored: str | None, *, ends: bool = False) -> str:
    """What was typed, or what is stored if that shows the same; ``ends``: spaces at its ends are told apart."""
    typed = _breaks(typed)
    shown = _breaks(stored or "")
    return stored or "" if typed == (shown if ends else shown.strip()) else typed


def _same(sent: Any, stored: Any) -> bool:
    """Whether two values are the same but for line breaks, which come back from a page in one kind only."""
    if isinstance(sent, dict) and isinstance(stored, dict):
        return sent.keys() == stored.keys() and all(_same(value, stored[key]) for key, value in sent.items())
    if isinstance(sent, list) and isinstance(stored, list):
        return len(sent) == len(stored) and all(map(_same, sent, stored))
    return bool(
        _breaks(sent) == _breaks(stored) if isinstance(sent, str) and isinstance(stored, str) else sent == stored
    )


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a tool's entry holds besides whether it may run."""
    return {key: value for key, value in config.items() if key not in COMMON and value is not None}


def _model(data: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {"id": _kept(data["model"], stored.get("id")), "effort": data["effort"]}
    if data["speed"] and data["speed"] != "standard":
        chosen["speed"] = data["speed"]
    return chosen | ({"inference_geo": data["inference_geo"]} if data["inference_geo"] else {})


def _known(tool: Mapping[str, Any]) -> tuple[str, str | None]:
    """Its kind, and the server of an MCP toolset."""
    return tool["type"], tool.get("mcp_server_name")


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


def _ours(data: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    limits = {
        name.removeprefix("limit_"): value
        for name, value in data.items()
        if name.startswith("limit_") and name != "limit_dollars" and value
    }
    if data["limit_dollars"]:
        limits["list_cost"] = {"amount": str(int(data["limit_dollars"] * CENTS)), "currency": "USD"}
    before = stored.get("fallback_models") or []
    same = data["fallback_models"] == _breaks(_lines(before))
    made = {
        "permission_rules": data["permission_rules"],
        "limits": limits,
        "read_log": data["read_log"],
        "fallback_models": before if same else [line for line in data["fallback_models"].split("\n") if line.strip()],
    }
    return {name: value for name, value in made.items() if value}


def _ours_changed(wanted: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    empty: dict[str, Any] = {"permission_rules": [], "fallback_models": [], "read_log": False}
    changed = {
        name: wanted.get(name, none)
        for name, none in empty.items()
        if not _same(wanted.get(name, none), stored.get(name, none))
    }
    limits = _patch(stored.get("limits", {}), wanted.get("limits", {}))
    return changed | ({"limits": limits} if limits else {})


def _patch(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What turns ``stored`` into ``wanted`` where null deletes."""
    gone = {name: None for name in stored if name not in wanted}
    return gone | {
        name: value for name, value in wanted.items() if name not in stored or not _same(value, stored[name])
    }


def _stored(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A stored agent in the body's own forms, to compare with."""
    model = spec["model"]
    chosen = {"id": model["id"], "effort": model["effort"]["type"]}
    if (model.get("speed") or "standard") != "standard":
        chosen["speed"] = model["speed"]
    chosen |= {"inference_geo": model["inference_geo"]} if model.get("inference_geo") else {}
    return {**spec, "model": chosen}
