"""The rest of a session's readings: the trace, one event, changes of files, the inspector's tabs, the minimap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import Http404
from django.shortcuts import redirect, render

from contract.door import page
from contract.errors import InvalidRequest, NotFound
from contract.roles import Permission
from sessions import actions, forks, inspection, livetrace, progress, raising, teamwork, timeline, window
from sessions import events as ev
from sessions import render as html
from sessions.models import Thread
from sessions.projections.status import OF_THREADS
from sessions.views.show import INSPECTOR, around, chosen, composer_context, find, inspector, number

if TYPE_CHECKING:
    from django.http import HttpResponse

    from contract.http import Request
    from sessions.models import Event, Session

SHOWN_CHANGES = 100
SHOWN_TURNS = 20


@page(Permission.READ)
def trace(request: Request, session_id: str) -> HttpResponse:
    """Tree and waterfall. ``?before=N``, or ``?from=A&to=B`` to look closer; ``?errors=1``, ``?idle=show``."""
    found = find(request, session_id)
    wanted, start, end = chosen(request, found), number(request, "from"), number(request, "to")
    between = (start, end) if start is not None and end is not None else None
    before = number(request, "before")
    if wanted is not None and before is None and between is None:
        before = wanted.seq + timeline.EVENTS // 2
    asked = timeline.Wanted(
        before, between, errors=request.GET.get("errors") == "1", fold=request.GET.get("idle") != "show"
    )
    read = timeline.read_trace(found, asked)
    row = wanted.seq if wanted is not None else None
    context = around(request, found, "trace", wanted) | livetrace.context(found, read, asked, row)
    context |= {"socket": livetrace.address(read, asked), "whole": livetrace.whole_html(found, read, asked, row)}
    return render(request, "sessions/trace.html", context)


@page(Permission.READ)
def event(request: Request, session_id: str, seq: int) -> HttpResponse:
    """One event in full."""
    found = find(request, session_id)
    entry = window.find_event(found, str(seq))
    if entry is None:
        raise NotFound(f"Session {session_id} has no event {seq}.")
    row = window.whole_row(entry)
    base = request.build_absolute_uri("/").rstrip("/")
    context = {
        "event": entry,
        "wire": ev.wire(entry),
        "row_html": html.row_html(row) if row else "",
        "curl": _curl(base, found, entry),
    }
    return render(request, "sessions/event.html", context | around(request, found, "event", entry))


def _curl(base: str, found: Session, entry: Event) -> str:
    """The request that lists the events of this type, which holds this one."""
    url = f"{base}/v1/sessions/{found.pk}/events?limit=100&types[]={entry.type}"
    beta = "anthropic-beta: managed-agents-2026-04-01"
    return f"curl -g '{url}' \\\n  -H \"x-api-key: $HOLDFAST_API_KEY\" \\\n  -H '{beta}'"


@page(Permission.READ)
def inspect(request: Request, session_id: str, tab: str) -> HttpResponse:
    """One tab of the inspector: to scripts itself, else as a page."""
    found = find(request, session_id)
    if tab not in INSPECTOR:
        raise Http404("The inspector has no such tab.")
    about = {"label": INSPECTOR[tab], "template": f"sessions/inspect/{tab}.html"}
    context = composer_context(request, found) | {"inspected": about, "inspector": inspector(found, tab)}
    context |= _read(found, tab)
    if getattr(request, "htmx", False):
        return render(request, "sessions/inspect/fragment.html", context)
    return render(request, "sessions/inspect/page.html", around(request, found, "inspect") | context)


def _read(found: Session, tab: str) -> dict[str, Any]:
    if tab == "session":
        own = (found.limits or {}).get("list_cost")
        return {
            "money": inspection.money(found),
            "own_limit": None if own is None else f"{int(own['amount']) / 100:.2f}",
            "closed": found.archived_at is not None or found.status == "terminated",
            "outputs_html": html.outputs_html(found),
            "touched_html": html.touched_html(found),
            "parent": forks.parent_of(found),
        }
    if tab == "progress":
        found_so_far = progress.progress(found)
        return {"progress": found_so_far, "turns": found_so_far["turns"][: -SHOWN_TURNS - 1 : -1]}
    readers = {
        "tools": inspection.tools,
        "resources": inspection.resources,
        "threads": inspection.threads,
        "team": teamwork.team,
        "access": inspection.access,
    }
    return {tab: readers[tab](found)}


@page(Permission.READ)
def thread(request: Request, session_id: str, thread_id: str) -> HttpResponse:
    """A thread's own transcript, with what only it and no client sees; ``?before=N`` as for the session's."""
    found = find(request, session_id)
    one = Thread.objects.filter(session=found, pk=thread_id).first()
    if one is None:
        raise NotFound(f"Session {session_id} has no thread {thread_id}.")
    before, wanted = number(request, "before"), chosen(request, found)
    if wanted is not None and before is None and wanted.seq + window.EVENTS // 2 < one.last_seq:
        before = wanted.seq + window.EVENTS // 2
    shown = window.window(found, before=before, thread_id=one.pk)
    rows = html.rows_html(shown.rows, wanted.pk if wanted else "")
    state = OF_THREADS.get(one.status, one.status)
    context = {"thread": one, "state": state, "window": shown, "rows_html": rows, "latest": before is None}
    return render(request, "sessions/thread.html", around(request, found, "thread", wanted) | context)


@page(Permission.READ)
def changes(request: Request, session_id: str) -> HttpResponse:
    """``?path=``: every change of a file, as a diff against what was there before."""
    found = find(request, session_id)
    path = request.GET.get("path", "")
    made = [one for one in inspection.written(found) if not path or one.path == path]
    context = {"path": path, "changes": made[-SHOWN_CHANGES:], "total": len(made)}
    return render(request, "sessions/changes.html", context | around(request, found, "files"))


@page(Permission.READ)
def minimap(request: Request, session_id: str) -> HttpResponse:
    found = find(request, session_id)
    return render(request, "sessions/parts/minimap.html", {"session": found, "minimap": timeline.minimap(found)})


@page(Permission.READ)
def pulse(request: Request, session_id: str) -> HttpResponse:
    found = find(request, session_id)
    return render(request, "sessions/parts/pulse.html", {"session": found, "pulse": inspection.pulse(found)})


@page(Permission.OPERATE, "POST")
def limit(request: Request, session_id: str) -> HttpResponse:
    """Set, raise or (empty) lift a cap of the session's own, named by ``cap``; it goes on where there is room."""
    find(request, session_id)
    try:
        typed = request.POST.get("limit", request.POST.get("dollars", ""))
        body, said = raising.changes(request.POST.get("cap", raising.MONEY), typed)
        actions.update_session(session_id, body, request.acting)
    except InvalidRequest as error:
        messages.error(request, error.message, "failed")
    else:
        messages.success(request, said, "done")
    return redirect("sessions:session", session_id)
