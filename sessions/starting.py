"""Before a session is started: what an earlier one was started with, and what this one would use and cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agents.actions import find_agent
from agents.models import AgentVersion
from contract.errors import NotFound
from contract.roles import Permission, may
from contract.schema import OURS
from credentials import matching
from credentials.models import Credential
from sessions import events as ev
from sessions import figures, resources
from sessions.finding import find_session
from sessions.models import Event, Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from contract.acting import Acting
    from sessions.figures import Figures

LISTED = 50
DIGITS = 9
SESSION = "sesn_"
OVERRIDES = ("tools", "mcp_servers", "skills")
ALL_OVERRIDES = ("model", "system", *OVERRIDES)


@dataclass(frozen=True, slots=True)
class Used:
    """A secret the session would be given: what it is called and what it is for."""

    id: str
    name: str
    towards: str


@dataclass(frozen=True, slots=True)
class Preview:
    """``servers``: hosts of the agent's MCP servers for which no chosen vault has anything."""

    agent: str
    version: int
    model: str
    limits: Mapping[str, Any]
    figures: Figures
    secrets: list[Used]
    count: int
    servers: list[str]


def like(session_id: str, acting: Acting) -> dict[str, Any]:
    """What a form shows that starts a session like an earlier one: all that it was started with but tokens."""
    found = find_session(session_id, acting)
    first = Event.objects.filter(session=found, type=ev.USER_MESSAGE).order_by("seq").first()
    blocks = first.payload.get("content") if first else []
    words = [block["text"] for block in blocks if block.get("type") == "text"] if isinstance(blocks, list) else []
    caps = dict(found.limits)
    money = caps.pop("list_cost", None)
    return {
        "agent": f"{found.agent_id}@{found.agent_version}",
        "environment": found.environment_id,
        "task": words[0] if words else "",
        "title": found.title or "",
        "vaults": list(found.vault_ids),
        "limit_dollars": dollars(money),
        "budget_dollars": dollars((found.budget or {}).get("max_list_cost")),
        **{f"limit_{name}": value for name, value in caps.items()},
        "resources": resources.requested(found.resources.all()),
        "metadata": found.metadata,
        "permission_rules": found.permission_rules,
        **_outcome(found),
        **_otherwise(found),
    }


def _outcome(found: Session) -> dict[str, Any]:
    """The first outcome that the session was to reach."""
    asked = Event.objects.filter(session=found, type=ev.USER_DEFINE_OUTCOME).order_by("seq").first()
    if asked is None:
        return {}
    rubric = asked.payload.get("rubric") or {}
    tries = {"outcome_tries": asked.payload.get("max_iterations")}
    return {"outcome": asked.payload.get("description"), "rubric": rubric.get("content"), **tries}


def _otherwise(found: Session) -> dict[str, Any]:
    """The fields of the form for what a session was told to do otherwise than its agent says."""
    snapshot, spec = found.agent_snapshot, _spec(found)
    shown: dict[str, Any] = {}
    if spec is not None and snapshot["model"] != spec["model"]:
        shown["override_model"] = snapshot["model"]["id"]
        shown["override_effort"] = snapshot["model"]["effort"]["type"]
    if spec is not None and snapshot["system"] != spec["system"]:
        shown |= {"own_system": True, "override_system": snapshot["system"] or ""}
    if differing := _differing(found, OVERRIDES):
        shown |= {"otherwise": list(differing), "overrides_of": found.pk}
    return shown


def definition(of: Any, acting: Acting) -> tuple[str, dict[str, Any] | None]:
    """What a session was started with, or an agent (``agent_…``, ``agent_…@3``) has, and by which name it is found
    again; "" and None for what isn't there.
    """
    if not of:
        return "", None
    try:
        if str(of).startswith(SESSION):
            return str(of), find_session(str(of).replace("\x00", ""), acting).agent_snapshot
        chosen = _version(str(of), acting)
    except NotFound:
        return "", None
    return f"{chosen.agent_id}@{chosen.version}", chosen.spec


def _version(chosen: str, acting: Acting) -> AgentVersion:
    agent_id, _at, version = chosen.replace("\x00", "").partition("@")
    number = int(version) if version.isascii() and version.isdigit() and len(version) <= DIGITS else None
    return find_agent(agent_id, acting, version=number)


def overrides(session: Session) -> dict[str, Any]:
    """All that a session's agent is told otherwise than its version says, as a request gives it (spec core 8.3)."""
    return _differing(session, ALL_OVERRIDES)


def _differing(found: Session, names: Iterable[str]) -> dict[str, Any]:
    snapshot, spec = found.agent_snapshot, _spec(found)
    return {name: snapshot[name] for name in names if spec is not None and snapshot[name] != spec[name]}


def _spec(found: Session) -> dict[str, Any] | None:
    version = AgentVersion.objects.filter(agent_id=found.agent_id, version=found.agent_version).first()
    return version.spec if version else None


def dollars(cost: Mapping[str, Any] | None) -> str | None:
    return None if cost is None else f"{int(cost['amount']) / 100:.2f}"


def preview(chosen_agent: str, vault_ids: Iterable[str], acting: Acting) -> Preview | None:
    """What a session of that agent (``agent_…`` or ``agent_…@3``) would use; None while none is chosen."""
    try:
        chosen = _version(chosen_agent, acting)
    except NotFound:
        return None
    spec = chosen.spec
    secrets, served = _secrets(spec, list(vault_ids)[:LISTED], acting)
    knows = may(acting.role, Permission.BUILD)
    return Preview(
        agent=spec["name"],
        version=chosen.version,
        model=spec["model"]["id"],
        limits=(spec.get(OURS) or {}).get("limits") or {},
        figures=figures.of_agents([chosen.agent_id])[chosen.agent_id],
        secrets=secrets if knows else [],
        count=len(secrets),
        servers=[urlsplit(one["url"]).hostname or "" for one in spec["mcp_servers"] if one["name"] not in served],
    )


def _secrets(spec: Mapping[str, Any], vault_ids: list[str], acting: Acting) -> tuple[list[Used], set[str]]:
    """The credentials that would serve it, of several for one thing that of the first vault; and the servers served."""
    rows = Credential.objects.filter(
        vault_id__in=vault_ids, vault__workspace_id=acting.workspace_id, archived_at=None
    ).defer("sealed")
    first: dict[str, Credential] = {}
    for row in sorted(rows, key=lambda one: vault_ids.index(one.vault_id)):
        first.setdefault(row.slot, row)
    by_slot = {matching.server_slot(one["url"]): str(one["name"]) for one in spec["mcp_servers"]}
    used, served = [], set()
    for slot, row in first.items():
        name = row.display_name or row.pk
        if row.auth["type"] == "environment_variable":
            hosts = (row.auth.get("networking") or {}).get("allowed_hosts") or ()
            used.append(Used(row.pk, name, ", ".join((row.auth["secret_name"], *hosts))))
        elif slot in by_slot:
            served.add(by_slot[slot])
            used.append(Used(row.pk, name, urlsplit(row.auth["mcp_server_url"]).hostname or ""))
    return used, served
