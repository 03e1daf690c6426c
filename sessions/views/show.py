"""A session's page in its three readings: transcript, raw events, files; and the download of an output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from contract import pieces
from contract.door import page
from contract.errors import NotFound
from contract.roles import Permission, may
from sessions import events as ev
from sessions import files, forks, inspection, teamwork, timeline, window
from sessions import render as html
from sessions.forms import MessageForm
from sessions.models import Event, File, Resource, Session

if TYPE_CHECKING:
    from contract.http import Request

EVENTS_PAGE = 100
LISTED_FILES = 500
INLINE_MINIMAP = 1000  # a longer log's minimap is fetched after the page


class Entry(NamedTuple):
    """An event and its wire shape."""

    event: Event
    wire: dict[str, Any]


@page(Permission.READ)
def session(request: Request, session_id: str) -> HttpResponse:
    """The transcript. ``?before=N`` shows the window before event N, to scripts only its rows; ``?event=`` the
    window around an event (by number or id), which is marked.
    """
    found = find(request, session_id)
    before, wanted = number(request, "before"), chosen(request, found)
    shown = window.around(found, wanted) if wanted is not None else window.window(found, before=before)
    latest = (before is None and shown.last == found.last_seq) or not found.last_seq
    context = {
        "session": found,
        "window": shown,
        "rows_html": html.rows_html(shown.rows, shown.chosen),
        "latest": latest or (before is None and wanted is None),
    }
    if before is not None and getattr(request, "htmx", False):
        return render(request, "sessions/earlier_rows.html", context)
    return render(request, "sessions/session.html", context | around(request, found, "transcript", wanted))


def page_with(request: Request, found: Session, form: MessageForm) -> HttpResponse:
    """The transcript with a composer that was refused, for browsers without scripts."""
    shown = window.window(found)
    context = {"window": shown, "rows_html": html.rows_html(shown.rows), "latest": True}
    rest = around(request, found, "transcript") | {"form": form, "closed": False}
    return render(request, "sessions/session.html", context | rest, status=422)


@page(Permission.READ)
def events(request: Request, session_id: str) -> HttpResponse:
    """The log as it is: ``?type=``, and ``?before=`` or ``?after=`` an event number."""
    found = find(request, session_id)
    kind, wanted = request.GET.get("type", ""), chosen(request, found)
    rows = Event.objects.filter(session=found, seq__lte=found.last_seq).defer("private")
    if kind in TYPES:
        rows = rows.filter(type=kind)
    after, before = number(request, "after"), number(request, "before")
    if wanted is not None and after is None and before is None:
        before = wanted.seq + EVENTS_PAGE // 2
    if after is not None:
        shown = list(rows.filter(seq__gt=after).order_by("seq")[:EVENTS_PAGE])
    else:
        earlier = rows.filter(seq__lt=before) if before is not None else rows
        shown = list(reversed(earlier.order_by("-seq")[:EVENTS_PAGE]))
    first, last = (shown[0].seq, shown[-1].seq) if shown else (0, 0)
    if after is not None and getattr(request, "htmx", False):  # the page's own question for what came since
        first, last = number(request, "from") or first, last or after
    context = {
        "entries": [Entry(event, ev.wire(event)) for event in shown],
        "first": first,
        "last": last,
        "older": bool(shown) and rows.filter(seq__lt=first).exists(),
        "newer": bool(shown) and rows.filter(seq__gt=last).exists(),
        "type": kind if kind in TYPES else "",
        "types": TYPES,
        "live": before is None and (after is None or getattr(request, "htmx", False)),
    }
    if after is not None and getattr(request, "htmx", False):
        return render(request, "sessions/events_more.html", {**context, "session": found})
    return render(request, "sessions/events.html", context | around(request, found, "events", wanted))


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
    return render(request, "sessions/files.html", context | around(request, found, "files"))


@page(Permission.READ)
def download(request: Request, session_id: str, file_id: str) -> StreamingHttpResponse:
    """An output as an attachment: what an agent made is never shown as a page of ours."""
    found = find(request, session_id)
    file, stream = files.open_download(file_id, request.acting)
    if file.session_id != found.pk:
        stream.close()
        raise Http404(_("No such file in this session."))
    return pieces.download(stream, filename=file.filename, mime_type="application/octet-stream")


def find(request: Request, session_id: str) -> Session:
    """A session of the caller's workspace, with what its header shows. One query."""
    mine = Session.objects.filter(workspace_id=request.acting.workspace_id)
    found = mine.select_related("agent", "workspace", "environment", "created_by").filter(pk=session_id).first()
    if found is None:
        raise NotFound(f"There is no session {session_id} in this workspace.")
    return found


def composer_context(request: Request, found: Session, form: MessageForm | None = None) -> dict[str, Any]:
    return {"session": found, "form": form or MessageForm(), "operates": may(request.acting.role, Permission.OPERATE)}


def number(request: Request, name: str) -> int | None:
    """A positive number from the query string; anything else counts as not given."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def chosen(request: Request, found: Session) -> Event | None:
    """The event that ``?event=`` names."""
    reference = request.GET.get("event", "")
    return window.find_event(found, reference) if reference else None


def around(request: Request, found: Session, tab: str, wanted: Event | None = None) -> dict[str, Any]:
    """What stands around a reading: the header with its tabs, and on the transcript the inspector and the composer."""
    small = found.last_seq <= INLINE_MINIMAP
    context = composer_context(request, found) | {
        "tab": tab,
        "may": " ".join(one for one in Permission if may(request.acting.role, one)),
        "tabs": _tabs(found, tab, wanted),
        "chosen": wanted.seq if wanted is not None else None,
        "state_html": html.state_html(found),
        "numbers_html": html.numbers_html(found),
        "minimap": timeline.minimap(found) if small else None,
        "pulse": inspection.pulse(found),
        "closed": found.archived_at is not None or found.status == "terminated",
    }
    if tab != "transcript":
        return context
    side: dict[str, Any] = {"inspector": inspector(found, "session"), "parent": forks.parent_of(found)}
    side |= {"outputs_html": html.outputs_html(found), "touched_html": html.touched_html(found)}
    return context | side


def _tabs(found: Session, tab: str, wanted: Event | None) -> list[dict[str, Any]]:
    """The readings of a session, each keeping the event that is chosen."""
    suffix = f"?event={wanted.seq}" if wanted is not None else ""
    readings = (
        *(("transcript", "session", _("Transcript"), "t"), ("trace", "trace", _("Trace"), "w")),
        *(("events", "events", _("Events"), "r"), ("files", "files", _("Files"), "")),
    )
    return [
        {"href": reverse(f"sessions:{name}", args=[found.pk]) + suffix, "label": label, "key": key, "here": tab == its}
        for its, name, label, key in readings
    ]


def inspector(found: Session, here: str, *, live: bool = True) -> list[dict[str, Any]]:
    """The inspector's tabs. ``live``: they open in place, beside the transcript."""
    return [
        {
            "href": reverse("sessions:inspect", args=[found.pk, key]),
            "label": label,
            "here": key == here,
            "live": live,
        }
        for key, label in INSPECTOR.items()
        if key != "team" or teamwork.has_team(found)
    ]


INSPECTOR = {
    "session": _("Session"),
    "progress": _("Progress"),
    "tools": _("Tools"),
    "resources": _("Resources"),
    "threads": _("Threads"),
    "team": _("Team"),
    "access": _("Access"),
}
TYPES = sorted(
    value
    for name, value in vars(ev).items()
    if name.isupper() and isinstance(value, str) and "." in value and not value.endswith(".")
    if value != ev.SESSION_DELETED
)
