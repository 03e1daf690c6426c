"""A session's page in its three readings: transcript, raw events, files; and the download of an output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import render

from contract.door import page
from contract.errors import NotFound
from contract.roles import Permission, may
from sessions import events as ev
from sessions import files, window
from sessions import render as html
from sessions.forms import MessageForm
from sessions.models import Event, File, Resource, Session

if TYPE_CHECKING:
    from contract.http import Request

EVENTS_PAGE = 100
LISTED_FILES = 500


class Entry(NamedTuple):
    """An event and its wire shape."""

    event: Event
    wire: dict[str, Any]


@page(Permission.READ)
def session(request: Request, session_id: str) -> HttpResponse:
    """The transcript. ``?before=N`` shows the window before event N, to scripts only its rows."""
    found = find(request, session_id)
    before = number(request, "before")
    shown = window.window(found, before=before)
    context = {"session": found, "window": shown, "rows_html": html.rows_html(shown.rows), "latest": before is None}
    if before is not None and getattr(request, "htmx", False):
        return render(request, "sessions/earlier_rows.html", context)
    return render(request, "sessions/session.html", context | _around(request, found, "transcript"))


def page_with(request: Request, found: Session, form: MessageForm) -> HttpResponse:
    """The transcript with a composer that was refused, for browsers without scripts."""
    shown = window.window(found)
    context = {"window": shown, "rows_html": html.rows_html(shown.rows), "latest": True}
    around = _around(request, found, "transcript") | {"form": form, "closed": False}
    return render(request, "sessions/session.html", context | around, status=422)


@page(Permission.READ)
def events(request: Request, session_id: str) -> HttpResponse:
    """The log as it is: ``?type=``, and ``?before=`` or ``?after=`` an event number."""
    found = find(request, session_id)
    kind = request.GET.get("type", "")
    rows = Event.objects.filter(session=found, seq__lte=found.last_seq).defer("private")
    if kind in TYPES:
        rows = rows.filter(type=kind)
    after, before = number(request, "after"), number(request, "before")
    if after is not None:
        shown = list(rows.filter(seq__gt=after).order_by("seq")[:EVENTS_PAGE])
    else:
        earlier = rows.filter(seq__lt=before) if before is not None else rows
        shown = list(reversed(earlier.order_by("-seq")[:EVENTS_PAGE]))
    first, last = (shown[0].seq, shown[-1].seq) if shown else (0, 0)
    context = {
        "entries": [Entry(event, ev.wire(event)) for event in shown],
        "first": first,
        "last": last,
        "older": bool(shown) and rows.filter(seq__lt=first).exists(),
        "newer": bool(shown) and rows.filter(seq__gt=last).exists(),
        "type": kind if kind in TYPES else "",
        "types": TYPES,
    }
    return render(request, "sessions/events.html", context | _around(request, found, "events"))


@page(Permission.READ)
def session_files(request: Request, session_id: str) -> HttpResponse:
    found = find(request, session_id)
    made = File.objects.filter(session=found, downloadable=True).order_by("path")
    uploads = Resource.objects.filter(session=found, kind="file").select_related("file")
    context = {
        "outputs": list(made[:LISTED_FILES]),
        "output_count": made.count(),
        "uploads": list(uploads[:LISTED_FILES]),
    }
    return render(request, "sessions/files.html", context | _around(request, found, "files"))


@page(Permission.READ)
def download(request: Request, session_id: str, file_id: str) -> FileResponse:
    """An output as an attachment: what an agent made is never shown as a page of ours."""
    found = find(request, session_id)
    file, stream = files.open_download(file_id, request.acting)
    if file.session_id != found.pk:
        stream.close()
        raise Http404("No such file in this session.")
    response = FileResponse(stream, as_attachment=True, filename=file.filename, content_type="application/octet-stream")
    response["Content-Length"] = str(file.size_bytes)
    response["X-Content-Type-Options"] = "nosniff"
    return response


def find(request: Request, session_id: str) -> Session:
    """A session of the caller's workspace, with what its header shows. One query."""
    mine = Session.objects.filter(workspace_id=request.acting.workspace_id)
    found = mine.select_related("agent", "environment", "created_by").filter(pk=session_id).first()
    if found is None:
        raise NotFound(f"There is no session {session_id} in this workspace.")
    return found


def composer_context(request: Request, found: Session, form: MessageForm | None = None) -> dict[str, Any]:
    return {"session": found, "form": form or MessageForm(), "operates": may(request.acting.role, Permission.OPERATE)}


def number(request: Request, name: str) -> int | None:
    """A positive number from the query string; anything else counts as not given."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _around(request: Request, found: Session, tab: str) -> dict[str, Any]:
    """What stands around a reading: the header, and on the transcript the side and the composer."""
    context = composer_context(request, found) | {
        "tab": tab,
        "state_html": html.state_html(found),
        "numbers_html": html.numbers_html(found),
        "closed": found.archived_at is not None or found.status == "terminated",
    }
    side = {"outputs_html": html.outputs_html(found), "touched_html": html.touched_html(found)}
    return context | side if tab == "transcript" else context


TYPES = sorted(
    value
    for name, value in vars(ev).items()
    if name.isupper() and isinstance(value, str) and "." in value and not value.endswith(".")
    if value != ev.SESSION_DELETED
)
