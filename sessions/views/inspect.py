"""The rest of a session's readings: the trace, one event, changes of files, the inspector's tabs, the minimap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import Http404
from django.shortcuts import render

from contract.door import page
from contract.errors import NotFound
from contract.roles import Permission
from sessions import events as ev
from sessions import forks, inspection, livetrace, progresspage, teamwork, timeline, window
from sessions import render as html
from sessions.models import Thread
from sessions.progress import queue_place
from sessions.projections.status import OF_THREADS
from sessions.views.show import INSPECTOR, around, chosen, composer_context, find, inspector, number

if TYPE_CHECKING:
    from django.http import HttpResponse

    from contract.http import Request
    from sessions.models import Event, Session

SHOWN_CHANGES = 100


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
    """One tab of the inspector: to scripts itself, else as a page, which asks for its part by ``?whole``."""
    found = find(request, session_id)
    if tab not in INSPECTOR:
        raise Http404("The inspector has no such tab.")
    part = getattr(request, "htmx", False)
    whole = not part or "whole" in request.GET
    context = composer_context(request, found) | _read(found, tab) | {"whole": whole}
    context["inspected"] = {"label": INSPECTOR[tab], "template": f"sessions/inspect/{tab}.html"}
    context["inspector"] = inspector(found, tab, live=not whole)
    if part:
        return render(request, "sessions/inspect/fragment.html", context)
    return render(request, "sessions/inspect/page.html", around(request, found, "inspect") | context)


def _read(found: Session, tab: str) -> dict[str, Any]:
    if tab == "session":
        return {
            "money": inspection.money(found),
            "closed": found.archived_at is not None or found.status == "terminated",
            "outputs_html": html.outputs_html(found),
            "touched_html": html.touched_html(found),
            "parent": forks.parent_of(found),
        }
    readers = {
        "tools": inspection.tools,
        "progress": progresspage.read,
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
    """Whether a worker is at it. With it the header's state while it waits for a turn: its place changes by what other
    sessions do, of which its own log tells nothing.
    """
    found = find(request, session_id)
    waits = queue_place(found) is not None
    context = {
        "session": found,
        "pulse": inspection.pulse(found),
        "waits_html": html.state_html(found) if waits else "",
    }
    return render(request, "sessions/parts/pulse.html", context)
