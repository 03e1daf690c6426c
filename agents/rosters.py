"""The ``multiagent`` of an agent: which agents it may call on (spec core 6, advanced 7).

Stored entries are pinned to a version, ``{"type": "agent", "id", "version"}``; an agent that names itself is stored as
``{"type": "self"}``, because its version moves with every change, and shown as its own id and version. Rules:
members exist in the workspace, aren't archived and have no multiagent of their own; nobody is named twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Q

from agents.models import Agent, AgentVersion
from contract import versions
from contract.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from contract.acting import Acting

MAX_MEMBERS = 20
COORDINATOR = "coordinator"
SELF = {"type": "self"}
DISABLED = {"type": "disabled"}
ADVISOR_NAME = "anthropic.advisor"
MAX_MODEL = 256
# From the least to the most capable family; models of other makers are not compared.
FAMILIES = ("haiku", "sonnet", "opus", "fable")


@dataclass(frozen=True, slots=True)
class Owner:
    """The agent whose roster it is; ``version`` is 0 while it is being created."""

    id: str
    version: int = 0


def resolve(
    sent: Mapping[str, Any] | None, stored: Mapping[str, Any] | None, owner: Owner, acting: Acting
) -> dict[str, Any] | None:
    """The stored multiagent that a request makes of the one before; null clears."""
    if sent is None:
        return None
    if sent["type"] == COORDINATOR:
        return _coordinator(sent, owner, acting)
    kept = stored if stored is not None and stored["type"] == sent["type"] else _default()
    merged = {
        "type": sent["type"],
        "subagents": _merged("multiagent.subagents", sent, kept, owner, acting),
        "workflows": _merged("multiagent.workflows", sent, kept, owner, acting),
        "advisor": dict(kept["advisor"]) if "advisor" not in sent else _advisor(sent["advisor"]),
    }
    return merged


def _coordinator(sent: Mapping[str, Any], owner: Owner, acting: Acting) -> dict[str, Any]:
    entries = sent["agents"]
    if not 1 <= len(entries) <= MAX_MEMBERS:
        raise InvalidRequest(f"multiagent.agents: must name 1 to {MAX_MEMBERS} agents")
    advisors = [entry for entry in entries if _type(entry) == "advisor"]
    if len(advisors) > 1:
        raise InvalidRequest("multiagent.agents: has more than one advisor")
    members = [(index, entry) for index, entry in enumerate(entries) if _type(entry) != "advisor"]
    resolved = _references("multiagent.agents", members, owner, acting)
    for advisor in advisors:
        _check_model("multiagent.agents.advisor.model", advisor["model"])
    return {"type": COORDINATOR, "agents": [*resolved, *({**advisor} for advisor in advisors)]}


def _default() -> dict[str, Any]:
    return {"subagents": _enabled(), "workflows": _enabled(), "advisor": dict(DISABLED)}


def _enabled() -> dict[str, Any]:
    return {"type": "enabled", "inline_agents": {"type": "enabled"}, "predefined_agents": []}


def _merged(
    where: str, sent: Mapping[str, Any], stored: Mapping[str, Any], owner: Owner, acting: Acting
) -> dict[str, Any]:
    """``subagents`` or ``workflows``, merged level by level: what is left out is kept, null is the default."""
    member = where.rpartition(".")[2]
    if member not in sent:
        return dict(stored[member])
    wanted = sent[member]
    if wanted is None:
        return _enabled()
    if wanted["type"] == "disabled":
        return dict(DISABLED)
    kept = stored[member] if stored[member]["type"] == "enabled" else _enabled()
    merged = dict(kept)
    if "inline_agents" in wanted:
        merged["inline_agents"] = {"type": (wanted["inline_agents"] or {"type": "enabled"})["type"]}
    if "predefined_agents" in wanted:
        entries = wanted["predefined_agents"] or ()
        if len(entries) > MAX_MEMBERS:
            raise InvalidRequest(f"{where}.predefined_agents: at most {MAX_MEMBERS} agents are allowed")
        merged["predefined_agents"] = _references(f"{where}.predefined_agents", list(enumerate(entries)), owner, acting)
    if merged["inline_agents"]["type"] == "disabled" and not merged["predefined_agents"]:
        raise InvalidRequest(f"{where}: with inline_agents disabled, predefined_agents must name at least one agent")
    return merged


def _advisor(sent: Mapping[str, Any] | None) -> dict[str, Any]:
    if sent is None or sent["type"] == "disabled":
        return dict(DISABLED)
    _check_model("multiagent.advisor.model", sent["model"])
    return {"type": "enabled", "model": sent["model"]}


def _check_model(where: str, model: str) -> None:
    if not model.strip() or len(model) > MAX_MODEL:
        raise InvalidRequest(f"{where}: must be 1 to {MAX_MODEL} characters long")


def _type(entry: str | Mapping[str, Any]) -> str:
    return "agent" if isinstance(entry, str) else str(entry["type"])


def _references(
    where: str, entries: Sequence[tuple[int, str | Mapping[str, Any]]], owner: Owner, acting: Acting
) -> list[dict[str, Any]]:
    """Each entry pinned; one query for the agents whose latest version is meant."""
    named: list[tuple[str, str, int | None]] = []
    for index, entry in entries:
        if _type(entry) == "self":
            named.append((f"{where}.{index}", owner.id, None))
        else:
            sent: Mapping[str, Any] = {"id": entry} if isinstance(entry, str) else entry
            named.append((f"{where}.{index}", sent["id"], sent.get("version")))
    ids = [agent_id for _, agent_id, _ in named]
    if len(set(ids)) < len(ids):
        raise InvalidRequest(f"{where}: names an agent more than once")
    others = set(ids) - {owner.id}
    rows = Agent.objects.filter(pk__in=others, workspace_id=acting.workspace_id) if others else ()
    latest = {agent.pk: agent.version for agent in rows}
    return [_pinned(place, agent_id, version, owner, latest) for place, agent_id, version in named]


def _pinned(where: str, agent_id: str, version: int | None, owner: Owner, latest: Mapping[str, int]) -> dict[str, Any]:
    if agent_id == owner.id and version in (None, owner.version):
        return dict(SELF)
    if agent_id != owner.id and agent_id not in latest:
        raise NotFound(f"{where}: there is no agent {agent_id} in this workspace")
    versions.check(f"{where}.version", version)
    return {"type": "agent", "id": agent_id, "version": version if version is not None else latest[agent_id]}


def entries(multiagent: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Every stored entry of a multiagent, advisors of a coordinator left out."""
    if multiagent is None:
        return []
    if multiagent["type"] == COORDINATOR:
        return [entry for entry in multiagent["agents"] if entry["type"] != "advisor"]
    lists = (multiagent[member].get("predefined_agents", ()) for member in ("subagents", "workflows"))
    return [entry for members in lists for entry in members]


def advisor(multiagent: Mapping[str, Any] | None) -> str | None:
    """The model of the advisor, if there is one."""
    if multiagent is None:
        return None
    if multiagent["type"] == COORDINATOR:
        return next((entry["model"] for entry in multiagent["agents"] if entry["type"] == "advisor"), None)
    model: str | None = multiagent["advisor"].get("model")
    return model


def members(multiagent: Mapping[str, Any] | None, acting: Acting) -> dict[tuple[str, int], AgentVersion]:
    """The versions that are pinned, in one query; ``NotFound`` if one of them is not there."""
    pins = {(entry["id"], entry["version"]) for entry in entries(multiagent) if entry["type"] == "agent"}
    if not pins:
        return {}
    wanted = Q()
    for agent_id, version in pins:
        wanted |= Q(agent_id=agent_id, version=version)
    rows = AgentVersion.objects.filter(wanted, agent__workspace_id=acting.workspace_id).select_related("agent")
    found = {(row.agent_id, row.version): row for row in rows}
    for agent_id, version in sorted(pins - found.keys()):
        raise NotFound(f"multiagent: there is no version {version} of agent {agent_id} in this workspace")
    return found


def check(spec: Mapping[str, Any], found: Iterable[AgentVersion]) -> None:
    """The rules between an agent and its members."""
    adviser = advisor(spec["multiagent"])
    for version in found:
        _check_member(spec, version)
        if adviser is not None and version.spec["name"] == ADVISOR_NAME:
            raise InvalidRequest(f"multiagent: the name {ADVISOR_NAME} belongs to the advisor")
    if adviser is not None and _less_capable(adviser, spec["model"]["id"]):
        raise InvalidRequest(
            f"multiagent: the advisor {adviser} must be at least as capable as the agent's model {spec['model']['id']}"
        )


def _check_member(spec: Mapping[str, Any], version: AgentVersion) -> None:
    if version.spec["multiagent"] is not None:
        raise InvalidRequest(f"multiagent: agent {version.agent_id} has a multiagent of its own; one level is allowed")
    if version.spec["model"]["inference_geo"] != spec["model"]["inference_geo"]:
        raise InvalidRequest(
            f"multiagent: the inference_geo of agent {version.agent_id} differs; those of an agent and of all that it "
            "calls on must be equal or all unset"
        )


def check_alive(found: Iterable[AgentVersion]) -> None:
    """Archived agents can't be put on a roster, nor be called on by a new session."""
    for version in found:
        if version.agent.archived_at is not None:
            raise InvalidRequest(
                f"multiagent: agent {version.agent_id} is archived and can't be called on; take it off the list"
            )


def _less_capable(adviser: str, model: str) -> bool:
    ranks = [next((rank for rank, family in enumerate(FAMILIES) if family in name), None) for name in (adviser, model)]
    return ranks[0] is not None and ranks[1] is not None and ranks[0] < ranks[1]


def shown(multiagent: Mapping[str, Any] | None, owner: Owner) -> dict[str, Any] | None:
    """As an agent shows it: ``self`` as the agent's own id and version."""
    return _mapped(multiagent, {None: {"type": "agent", "id": owner.id, "version": owner.version}})


def snapshot(
    multiagent: Mapping[str, Any] | None, own: Mapping[str, Any], found: Mapping[tuple[str, int], Mapping[str, Any]]
) -> dict[str, Any] | None:
    """As a session carries it: every reference replaced by a whole definition, ``self`` by the session's ``own``."""
    everyone: dict[tuple[str, int] | None, Mapping[str, Any]] = {None: own}
    return _mapped(multiagent, everyone | dict(found.items()))


def _mapped(
    multiagent: Mapping[str, Any] | None, found: Mapping[tuple[str, int] | None, Mapping[str, Any]]
) -> dict[str, Any] | None:
    if multiagent is None:
        return None

    def one(entry: Mapping[str, Any]) -> Mapping[str, Any]:
        if entry["type"] == "advisor":
            return entry
        key = None if entry["type"] == "self" else (entry["id"], entry["version"])
        return found.get(key, entry)

    if multiagent["type"] == COORDINATOR:
        return {**multiagent, "agents": [one(entry) for entry in multiagent["agents"]]}
    parts = {
        member: {**part, "predefined_agents": [one(entry) for entry in part["predefined_agents"]]}
        for member, part in multiagent.items()
        if member in ("subagents", "workflows") and part["type"] == "enabled"
    }
    return {**multiagent, **parts}
