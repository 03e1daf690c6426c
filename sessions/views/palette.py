"""The table of shortcuts, and what the palette finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from django.db.models import Q
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from agents.models import Agent
from contract.door import page
from contract.roles import Permission
from sessions.models import Session

if TYPE_CHECKING:
    from django.http import HttpResponse

    from contract.http import Request

FOUND = 8
QUERY_LENGTH = 200


class Found(NamedTuple):
    """Something the palette can open."""

    href: str
    icon: str
    label: str
    kind: str


@page(Permission.READ)
def shortcuts(request: Request) -> HttpResponse:
    return render(request, "help/shortcuts.html")


@page(Permission.READ)
def palette(request: Request) -> HttpResponse:
    """``?q=`` as list entries: sessions by title or id, agents by name, the newest first."""
    words = request.GET.get("q", "").strip().replace("\x00", "")[:QUERY_LENGTH]
    return render(request, "help/found.html", {"found": _found(words, request.acting.workspace_id) if words else []})


def _found(words: str, workspace_id: str) -> list[Found]:
    sessions = Session.objects.filter(Q(title__icontains=words) | Q(pk=words), workspace_id=workspace_id)
    agents = Agent.objects.filter(workspace_id=workspace_id, archived_at=None, name__icontains=words)
    found = [
        Found(reverse("sessions:session", args=[pk]), "queue-list", title or _("Untitled session"), _("Session"))
        for pk, title in sessions.order_by("-created_at").values_list("pk", "title")[:FOUND]
    ]
    found += [
        Found(reverse("agents:agent", args=[pk]), "cpu-chip", name, _("Agent"))
        for pk, name in agents.order_by("-created_at").values_list("pk", "name")[:FOUND]
    ]
    return found
