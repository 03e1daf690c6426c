"""The overview, and the list of sessions with what can be done to many of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from contract import zones
from contract.door import page
from contract.errors import ApiError, Conflict, InvalidRequest
from contract.roles import Permission, may
from sessions import bulk, demo, filters, listing, overview, saved, search
from sessions.models import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.http import HttpResponse

    from contract.http import Request


@page(Permission.READ)
def home(request: Request) -> HttpResponse:
    return render(request, "sessions/overview.html", overview.context(request.acting, zones.zone_of(request.COOKIES)))


@page(Permission.OPERATE, "POST")
def start_demo(request: Request) -> HttpResponse:
    return redirect("sessions:session", demo.start_demo(request.acting).pk)


@page(Permission.READ)
def session_list(request: Request) -> HttpResponse:
    """Filters are the query string (``sessions.filters``), or a saved view's: ``?view=``. ``?page=`` is a cursor."""
    now, zone, acting = timezone.now(), zones.zone_of(request.COOKIES), request.acting
    offered, views = filters.choices(acting), list(saved.mine(acting))
    view = next((one for one in views if one.pk == request.GET.get("view")), None)
    wanted = filters.chosen(view.filters if view else request.GET.dict(), offered)
    cursor = request.GET.get("page") or None
    listed = listing.page(wanted, cursor, zone, acting)
    query = urlencode(wanted)
    context: dict[str, Any] = {
        "listed": listed,
        "wanted": wanted,
        "offered": offered,
        "chips": filters.chips(wanted, offered),
        "views": views,
        "view": view,
        "query": query,
        "first": cursor is None,
        "sealed": search.is_sealed(),
        "socket": "/ws/list/?" + urlencode({**wanted, "at": now.isoformat(), **({"page": cursor} if cursor else {})}),
        "operates": may(acting.role, Permission.OPERATE),
    }
    return render(request, "sessions/list.html", context)


@page(Permission.READ, "POST")
def view_save(request: Request) -> HttpResponse:
    """Keep the filters that the form names under a name."""
    try:
        view = saved.save(request.POST.get("name", ""), request.POST.dict(), request.acting)
    except (InvalidRequest, Conflict) as error:
        return _back(request, error)
    messages.success(request, _("The view “{}” is saved.").format(view.name), "done")
    return _to(f"view={view.pk}")


@page(Permission.READ, "POST")
def view_change(request: Request, view_id: str) -> HttpResponse:
    """Rename a view, or with ``delete`` in the form forget it."""
    try:
        if "delete" in request.POST:
            saved.delete(view_id, request.acting)
            messages.success(request, _("The view is deleted."), "done")
            return _to("")
        view = saved.rename(view_id, request.POST.get("name", ""), request.acting)
    except (InvalidRequest, Conflict) as error:
        return _back(request, error)
    messages.success(request, _("The view is now called “{}”.").format(view.name), "done")
    return _to(f"view={view.pk}")


@page(Permission.OPERATE, "POST")
def together(request: Request) -> HttpResponse:
    """Stop or archive the chosen sessions: asks first, with what is going to happen to which, then does it."""
    what, ids = request.POST.get("action"), request.POST.getlist("id")[: bulk.MOST + 1]
    chosen = next((one for one in bulk.ACTIONS if one == what), None)
    if chosen is None or not ids:
        messages.error(request, _("Choose sessions first, then what to do with them."), "failed")
        return _to(request.POST.get("query", ""))
    if "sure" in request.POST:
        outcomes = bulk.carry_out(chosen, ids, request.POST.get("reason", "").strip(), request.acting)
        _tell(request, chosen, outcomes)
        return _to(request.POST.get("query", ""))
    rows = Session.objects.filter(workspace_id=request.acting.workspace_id, pk__in=ids)
    sessions = list(rows.select_related("agent").defer("agent_snapshot").order_by("-created_at", "-pk"))
    context = {
        "what": chosen,
        "lines": [overview.Line(session, overview.state_for(session)) for session in sessions],
        "resting": sum(session.status == "idle" and not session.pending_count for session in sessions),
        "query": request.POST.get("query", ""),
        "longest": bulk.LONGEST_REASON,
    }
    return render(request, "sessions/together.html", context)


def _tell(request: Request, what: bulk.What, outcomes: Sequence[bulk.Outcome]) -> None:
    failed = [one for one in outcomes if one.error]
    done = len(outcomes) - len(failed)
    if what == "stop":
        text = ngettext("{} session is stopped.", "{} sessions are stopped.", done)
    else:
        text = ngettext("{} session is archived.", "{} sessions are archived.", done)
    if done:
        messages.success(request, text.format(done), "done")
    for one in failed[:10]:
        messages.error(request, f"{one.session_id}: {one.error.message if one.error else ''}", "failed")
    if len(failed) > 10:
        messages.error(request, _("{} more could not be changed.").format(len(failed) - 10), "failed")


def _back(request: Request, error: ApiError) -> HttpResponse:
    messages.error(request, error.message, "failed")
    return _to(urlencode(filters.chosen(request.POST.dict())))


def _to(query: str) -> HttpResponse:
    """The list with a query string, which is no address of another place."""
    return HttpResponseRedirect(reverse("sessions:list") + (f"?{query}" if query else ""))
