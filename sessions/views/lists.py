"""The overview and the list of sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.shortcuts import render

from agents.models import Agent
from contract.door import page
from contract.roles import Permission
from sessions import overview
from sessions.models import Session
from sessions.projections.columns import Usage
from sessions.projections.status import GROUPS, State, stop_reasons

if TYPE_CHECKING:
    from django.http import HttpResponse

    from contract.http import Request

PAGE_SIZE = 50
LISTED_AGENTS = 200
FILTERS = ("q", "status", "agent", "deployment")


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the list."""

    session: Session
    state: State
    tokens: int


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter in use, and the address without it."""

    text: str
    without: str


@page(Permission.READ)
def home(request: Request) -> HttpResponse:
    return render(request, "sessions/overview.html", overview.context(request.acting))


@page(Permission.READ)
def session_list(request: Request) -> HttpResponse:
    """Filters are the query string: ``?q=&status=&agent=&page=``; a value that means nothing is left out."""
    mine = Session.objects.filter(workspace_id=request.acting.workspace_id)
    agents = list(Agent.objects.filter(workspace_id=request.acting.workspace_id).order_by("name")[:LISTED_AGENTS])
    chosen = _chosen(request, agents)
    rows = _filtered(mine, chosen).select_related("agent", "created_by").order_by("-created_at", "-pk")
    shown = Paginator(rows.defer("agent_snapshot"), PAGE_SIZE).get_page(request.GET.get("page"))
    context: dict[str, Any] = {
        "page": shown,
        "lines": [_line(session) for session in shown.object_list],
        "q": chosen.get("q", ""),
        "status": chosen.get("status", ""),
        "agent_id": chosen.get("agent", ""),
        "groups": GROUPS,
        "agents": agents,
        "chips": _chips(chosen, {agent.pk: agent.name for agent in agents}),
    }
    return render(request, "sessions/list.html", context)


def _chosen(request: Request, agents: list[Agent]) -> dict[str, str]:
    given = {name: request.GET.get(name, "").strip().replace("\x00", "")[:200] for name in FILTERS}
    if given["status"] not in GROUPS:
        given["status"] = ""
    if given["agent"] not in {agent.pk for agent in agents}:
        given["agent"] = ""
    return {name: value for name, value in given.items() if value}


def _filtered(rows: QuerySet[Session], chosen: dict[str, str]) -> QuerySet[Session]:
    if "agent" in chosen:
        rows = rows.filter(agent_id=chosen["agent"])
    if "deployment" in chosen:
        rows = rows.filter(deployment_id=chosen["deployment"])
    if "q" in chosen:
        rows = rows.filter(Q(title__icontains=chosen["q"]) | Q(pk=chosen["q"]))
    if chosen.get("status") == "archived":
        return rows.exclude(archived_at=None)
    return rows.filter(in_group(chosen["status"])) if "status" in chosen else rows


def in_group(group: str) -> Q:
    """Sessions whose state belongs to a group of ``projections.status``."""
    alive = Q(archived_at=None)
    if group == "working":
        return alive & Q(status__in=("running", "rescheduling"))
    reasons = Q(status="idle", stop_reason__type__in=stop_reasons(group))
    if group == "failed":
        return alive & (reasons | Q(status="terminated"))
    if group == "idle":
        return alive & Q(status="idle", stop_reason__isnull=True)
    return alive & reasons


def _line(session: Session) -> Line:
    used = Usage.load(session.usage or {})
    written = used.cache_creation_5m + used.cache_creation_1h
    tokens = used.input_tokens + used.cache_read_input_tokens + written + used.output_tokens
    return Line(session, overview.state_for(session), tokens)


def _chips(chosen: dict[str, str], agents: dict[str, str]) -> list[Chip]:
    texts = {"q": "“{}”", "status": "Status: {}", "agent": "Agent: {}", "deployment": "Deployment: {}"}
    names = {"status": GROUPS, "agent": agents}
    chips = []
    for name, value in chosen.items():
        rest = {other: kept for other, kept in chosen.items() if other != name}
        text = texts[name].format(names.get(name, {}).get(value, value))
        chips.append(Chip(text, "?" + urlencode(rest)))
    return chips
