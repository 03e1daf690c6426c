"""Before a session is started: what an earlier one was started with, and what this one would use and cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agents.actions import find_agent
from contract.errors import NotFound
from contract.roles import Permission, may
from contract.schema import OURS
from credentials import matching
from credentials.models import Credential
from sessions import events as ev
from sessions import figures
from sessions.finding import find_session
from sessions.models import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from contract.acting import Acting
    from sessions.figures import Figures

LISTED = 50
DIGITS = 9


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
    """What a form shows that starts a session like an earlier one: the same version, place, task, vaults and limits."""
    found = find_session(session_id, acting)
    first = Event.objects.filter(session=found, type=ev.USER_MESSAGE).order_by("seq").first()
    blocks = first.payload.get("content") if first else []
    words = [block["text"] for block in blocks if block.get("type") == "text"] if isinstance(blocks, list) else []
    caps = found.limits
    money = int(caps["list_cost"]["amount"]) / 100 if "list_cost" in caps else None
    return {
        "agent": f"{found.agent_id}@{found.agent_version}",
        "environment": found.environment_id,
        "task": words[0] if words else "",
        "title": found.title or "",
        "vaults": list(found.vault_ids),
        "limit_dollars": None if money is None else f"{money:.2f}",
        "limit_steps": caps.get("steps"),
        "limit_running_seconds": caps.get("running_seconds"),
    }


def preview(chosen_agent: str, vault_ids: Iterable[str], acting: Acting) -> Preview | None:
    """What a session of that agent (``agent_…`` or ``agent_…@3``) would use; None while none is chosen."""
    agent_id, _at, version = chosen_agent.replace("\x00", "").partition("@")
    number = int(version) if version.isascii() and version.isdigit() and len(version) <= DIGITS else None
    try:
        chosen = find_agent(agent_id, acting, version=number)
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
        figures=figures.of_agents([agent_id])[agent_id],
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
