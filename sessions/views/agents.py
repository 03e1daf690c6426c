"""Pages that show agents: their cards with how their sessions went, one agent, one of its versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Count, OuterRef, Subquery
from django.shortcuts import render
from django.utils.translation import gettext as _

from agents import actions, permitted, rosters
from agents.differences import spec_diff
from agents.models import Agent, AgentVersion
from agents.permitted import Secret
from agents.templatetags.holdfast import duration
from agents.trying import CallForm
from agents.views.shared import listed
from contract.door import page
from contract.roles import Permission, may
from contract.schema import OURS
from credentials import matching
from credentials.models import Credential
from sessions import figures, overview
from sessions.models import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpResponse

    from contract.acting import Acting
    from contract.http import Request

SHOWN_VERSIONS = 50
SHOWN_SESSIONS = 10
LISTED_SECRETS = 100


@page(Permission.READ)
def agent_list(request: Request) -> HttpResponse:
    latest = AgentVersion.objects.filter(agent=OuterRef("pk"), version=OuterRef("version"))
    rows = Agent.objects.filter(workspace_id=request.acting.workspace_id).annotate(
        spec=Subquery(latest.values("spec")[:1])
    )
    context = listed(request, rows)
    known = figures.of_agents([agent.pk for agent in context["page"].object_list])
    context["cards"] = [(agent, known[agent.pk]) for agent in context["page"].object_list]
    return render(request, "agents/list.html", context)


@page(Permission.READ)
def agent(request: Request, agent_id: str, version: int | None = None) -> HttpResponse:
    """An agent as its latest version has it, or as ``version`` had it, with the changes that version made."""
    shown = actions.find_agent(agent_id, request.acting, version=version)
    previous = AgentVersion.objects.filter(agent_id=agent_id, version__lt=shown.version).first() if version else None
    used = Session.objects.filter(agent_id=agent_id) if version is None else _of_version(agent_id, shown.version)
    context = {
        "agent": shown.agent,
        "shown": shown,
        "spec": shown.spec,
        "matrix": permitted.matrix(shown.spec, _secrets(request.acting)),
        "rules": (shown.spec.get(OURS) or {}).get("permission_rules") or [],
        "facts": _facts(shown.spec),
        "team": _team(shown.spec, request.acting),
        "limits": _limits(shown.spec),
        "versions": _versions(agent_id),
        "previous": previous,
        "old": version is not None and shown.version != shown.agent.version,
        "diff": spec_diff(previous.spec, shown.spec) if previous else None,
        "figures": figures.of_agents([agent_id])[agent_id],
        "used": [overview.Line(row, overview.state_for(row)) for row in _newest(used)],
        "form": CallForm(initial={"tool": "bash"}),
    }
    return render(request, "agents/agent.html", context)


def _of_version(agent_id: str, version: int) -> Any:
    return Session.objects.filter(agent_id=agent_id, agent_version=version)


def _newest(rows: Any) -> list[Session]:
    return list(rows.defer("agent_snapshot").order_by("-created_at", "-pk")[:SHOWN_SESSIONS])


def _versions(agent_id: str) -> list[AgentVersion]:
    """The newest versions, each with how many sessions ran it."""
    rows = AgentVersion.objects.filter(agent_id=agent_id).select_related("created_by").defer("spec")
    ran = Session.objects.filter(agent_id=agent_id, agent_version=OuterRef("version")).order_by()
    count = ran.values("agent_version").annotate(count=Count("*")).values("count")
    return list(rows.annotate(ran=Subquery(count))[:SHOWN_VERSIONS])


def _secrets(acting: Acting) -> list[Secret]:
    """The workspace's credentials, for those who may know of them."""
    if not may(acting.role, Permission.BUILD):
        return []
    rows = Credential.objects.filter(vault__workspace_id=acting.workspace_id, archived_at=None, vault__archived_at=None)
    return [_secret(row) for row in rows.defer("sealed")[:LISTED_SECRETS]]


def _secret(row: Credential) -> Secret:
    name = row.display_name or row.pk
    if row.auth["type"] != "environment_variable":
        return Secret(row.pk, name, server=matching.normalised(row.auth["mcp_server_url"]))
    networking = row.auth.get("networking") or {}
    hosts = ", ".join(networking.get("allowed_hosts") or ())
    return Secret(row.pk, name, variable=row.auth["secret_name"], hosts=hosts)


def _facts(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What an agent has besides model, words and tools, if it has it: label and text."""
    facts = [
        (_("Skills"), ", ".join(skill["skill_id"] for skill in spec["skills"])),
        (_("Advisor"), rosters.advisor(spec["multiagent"]) or ""),
        (_("Acts as"), spec["execution_identity"].get("role_arn", "")),
        (_("Falls back to"), ", ".join((spec.get(OURS) or {}).get("fallback_models") or ())),
        *((key, str(value)) for key, value in spec["metadata"].items()),
    ]
    return [(label, text) for label, text in facts if text]


def _team(spec: Mapping[str, Any], acting: Acting) -> list[tuple[str, str]]:
    """Whom it calls on: id and name, the id empty for the agent itself."""
    members = dict.fromkeys(entry.get("id", "") for entry in rosters.entries(spec["multiagent"]))
    if not members:
        return []
    known = Agent.objects.filter(workspace_id=acting.workspace_id, pk__in=members).values_list("pk", "name")
    names = {"": _("itself"), **dict(known)}
    return [(agent_id, names.get(agent_id, agent_id)) for agent_id in members]


def _limits(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The agent's own caps in words."""
    caps = (spec.get(OURS) or {}).get("limits") or {}
    names = {"steps": _("Steps"), "model_requests": _("Model requests"), "tokens": _("Tokens")}
    found = [(label, f"{caps[name]:,}") for name, label in names.items() if name in caps]
    if "list_cost" in caps:
        found.append((_("Money"), f"${int(caps['list_cost']['amount']) / 100:,.2f}"))
    seconds = {"running_seconds": _("Work"), "approval_seconds": _("To answer")}
    found += [(label, duration(caps[name])) for name, label in seconds.items() if name in caps]
    return found
