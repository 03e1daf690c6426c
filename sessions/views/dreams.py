"""Pages of dreams: what was made of which memories, and how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.paginator import Paginator
from django.shortcuts import redirect, render
from django.utils.translation import gettext

from agents.models import MemoryStore
from contract.door import attempt, page
from contract.roles import Permission
from sessions.dreams import actions
from sessions.dreams.forms import DreamForm
from sessions.dreams.shapes import used
from sessions.models import Dream, Session
from sessions.models.dreams import OPEN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.http import HttpResponse

    from contract.http import Request

PAGE_SIZE = 50


@page(Permission.READ)
def dream_list(request: Request) -> HttpResponse:
    archived = request.GET.get("archived") == "1"
    rows = Dream.objects.filter(workspace_id=request.acting.workspace_id)
    shown = Paginator(rows if archived else rows.filter(archived_at=None), PAGE_SIZE).get_page(request.GET.get("page"))
    names = _names(request, (one.store_id for one in shown.object_list))
    lines = [(one, names.get(one.store_id, one.store_id)) for one in shown.object_list]
    return render(request, "dreams/list.html", {"page": shown, "lines": lines, "archived": archived})


@page(Permission.READ)
def dream(request: Request, dream_id: str) -> HttpResponse:
    """What it read, what became of it, and the buttons."""
    found = actions.find(dream_id, request.acting)
    mine = Session.objects.filter(workspace_id=request.acting.workspace_id, pk__in=found.session_ids)
    titles = dict(mine.values_list("pk", "title"))
    names = _names(request, (found.store_id, found.output_store_id))
    context = {
        "dream": found,
        "open": found.status in OPEN,
        "read": [(session_id, session_id in titles, titles.get(session_id)) for session_id in found.session_ids],
        "store_name": names.get(found.store_id, ""),
        "output_name": names.get(found.output_store_id, ""),
        "usage": used(found),
    }
    return render(request, "dreams/dream.html", context)


def _names(request: Request, store_ids: Iterable[str]) -> dict[str, str]:
    rows = MemoryStore.objects.filter(workspace_id=request.acting.workspace_id, pk__in=set(store_ids))
    return dict(rows.values_list("pk", "name"))


@page(Permission.OPERATE, "GET", "HEAD", "POST")
def dream_new(request: Request) -> HttpResponse:
    form = DreamForm(request.POST or None, acting=request.acting)
    made = attempt(form, lambda: actions.create(form.body(), request.acting))
    if made:
        messages.success(request, gettext("The dream begins."), "done")
        return redirect("sessions:dream", made.pk)
    return render(request, "dreams/form.html", {"form": form}, status=422 if form.errors else 200)


@page(Permission.OPERATE, "POST")
def dream_cancel(request: Request, dream_id: str) -> HttpResponse:
    actions.cancel(dream_id, request.acting)
    messages.success(request, gettext("The dream is canceled. What it has written stays."), "done")
    return redirect("sessions:dream", dream_id)


@page(Permission.OPERATE, "POST")
def dream_archive(request: Request, dream_id: str) -> HttpResponse:
    actions.archive(dream_id, request.acting)
    messages.success(request, gettext("The dream is archived. Its memory store stays."), "done")
    return redirect("sessions:dream", dream_id)
