"""Fork, rewind, compare, export, import and replay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms as django_forms
from django.http import StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from agents.models import Agent, AgentVersion, Environment
from agents.templatetags.holdfast import MARKDOWN_TAGS
from contract.door import attempt, page
from contract.pieces import Written
from contract.roles import Permission
from sessions import events as ev
from sessions import exportpreview, exports, forks
from sessions.forms import MESSAGE_LENGTH
from sessions.models import Event, Session
from sessions.projections import compare as steps
from sessions.projections import transcript
from sessions.projections.columns import Usage
from sessions.views.show import find, number

if TYPE_CHECKING:
    from django.http import HttpResponse
    from django.http.response import HttpResponseBase

    from contract.http import Request

LISTED = 500
COMPARED = 600


class ForkForm(django_forms.Form):
    """What a fork changes; all of it is optional."""

    agent = django_forms.ChoiceField(label=_("Agent version"), required=False)
    model = django_forms.CharField(
        label=_("Model"), max_length=256, required=False, help_text=_("Empty keeps the agent's own.")
    )
    prompt = django_forms.CharField(
        label=_("Prompt"),
        max_length=MESSAGE_LENGTH,
        required=False,
        widget=django_forms.Textarea(attrs={"rows": 5}),
        help_text=_(
            "Sent to the fork at once. Empty sends again what nobody had answered by then; if all was, the fork rests."
        ),
    )
    leave_out = django_forms.MultipleChoiceField(
        label=_("Leave out"),
        required=False,
        widget=django_forms.CheckboxSelectMultiple,
        help_text=_("The fork has all of these unless they are ticked."),
    )
    rewind = django_forms.ChoiceField(
        label=_("The session that is forked"),
        choices=[("", _("Keep it as it is")), ("yes", _("Archive it: this is a rewind"))],
        required=False,
    )

    def __init__(self, *args: Any, origin: Session, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        found = AgentVersion.objects.filter(agent_id=origin.agent_id).order_by("-version").values_list("version")[:50]
        versions = [(str(version), f"{origin.agent.name} v{version}") for (version,) in found]
        self._choose("agent", [("", _now("As in this session")), *versions])
        if carried := forks.carried(origin):
            self._choose("leave_out", carried)
        else:
            del self.fields["leave_out"]

    def _choose(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        if isinstance(field, django_forms.ChoiceField):
            field.choices = choices

    def body(self, at: int) -> dict[str, Any]:
        """The API's body of this form."""
        given = self.cleaned_data
        body: dict[str, Any] = {"at": at, "rewind": given["rewind"] == "yes"}
        if given["agent"]:
            body["agent_version"] = int(given["agent"])
        if given.get("leave_out"):
            body["leave_out"] = given["leave_out"]
        return body | {name: given[name].replace("\r\n", "\n") for name in ("model", "prompt") if given[name]}


@page(Permission.OPERATE, "GET", "HEAD", "POST")
def fork(request: Request, session_id: str) -> HttpResponse:
    """``?at=N``, or ``?event=N`` as pages name what is selected: where the fork begins; else the newest event."""
    origin = find(request, session_id)
    at = number(request, "at") or number(request, "event") or origin.last_seq
    form = ForkForm(request.POST or None, origin=origin)
    made = attempt(form, lambda: forks.fork(origin.pk, form.body(at), request.acting))
    if made:
        return redirect("sessions:session", made.pk)
    context = {"session": origin, "place": forks.place(origin, at), "form": form}
    return render(request, "sessions/fork.html", context, status=422 if form.errors else 200)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two sessions that are compared."""

    session: Session
    tokens: int
    rows: list[transcript.Row]


@page(Permission.READ)
def compare(request: Request, session_id: str, other_id: str) -> HttpResponse:
    """Two sessions, aligned by step; of a fork and its origin only what came after the fork, unless ``?all=1``."""
    left, right = find(request, session_id), find(request, other_id)
    whole = request.GET.get("all") == "1"
    after_left = after_right = 0
    if right.forked_from_id == left.pk and not whole:
        after_left, after_right = right.forked_at or 0, _forked(right)
    elif left.forked_from_id == right.pk and not whole:
        after_left, after_right = _forked(left), left.forked_at or 0
    sides = _side(left, after_left), _side(right, after_right)
    context = {
        "left": sides[0],
        "right": sides[1],
        "pairs": steps.aligned(sides[0].rows, sides[1].rows),
        "shared": min(after_left, after_right),
        "whole": whole,
        "limit": COMPARED,
        "cut": any(len(side.rows) >= COMPARED for side in sides),
    }
    return render(request, "sessions/compare.html", context)


def _forked(session: Session) -> int:
    """The number of the event that ends what a fork took over."""
    marks = Event.objects.filter(session=session, type=ev.OPS_FORKED).order_by("-seq").values_list("seq", flat=True)
    return marks.first() or 0


def _side(session: Session, after: int) -> Side:
    entries = Event.objects.filter(session=session, on_session=True, seq__gt=after, seq__lte=session.last_seq)
    rows = transcript.rows(entries.defer("private").order_by("seq")[: COMPARED * 3])[:COMPARED]
    used = Usage.load(session.usage or {})
    tokens = used.input_tokens + used.cache_read_input_tokens + used.output_tokens
    return Side(session, tokens + used.cache_creation_5m + used.cache_creation_1h, rows)


@page(Permission.READ)
def export(request: Request, session_id: str) -> HttpResponseBase:
    """The session as a file of JSON lines, masked."""
    session, lines = exports.export(session_id, request.acting)
    response = StreamingHttpResponse(Written(lines), content_type="application/x-ndjson")
    response["Content-Disposition"] = f'attachment; filename="{session.pk}.jsonl"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


@page(Permission.READ)
def export_preview(request: Request, session_id: str) -> HttpResponse:
    """What the export would hold and where values are masked in it."""
    return render(request, "sessions/export.html", {"preview": exportpreview.preview(session_id, request.acting)})


class ImportForm(django_forms.Form):
    """A file, and what a fork of it would run with."""

    file = django_forms.FileField(
        label=_("File"), help_text=_("A file that Export made. Its history becomes a session that is archived.")
    )
    agent = django_forms.ChoiceField(
        label=_("Agent"), help_text=_("A fork of the imported session runs with this agent.")
    )
    environment = django_forms.ChoiceField(label=_("Environment"))

    def __init__(self, *args: Any, workspace_id: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, model in (("agent", Agent), ("environment", Environment)):
            rows = model._default_manager.filter(workspace_id=workspace_id, archived_at=None)
            field = self.fields[name]
            if isinstance(field, django_forms.ChoiceField):
                field.choices = list(rows.values_list("pk", "name")[:LISTED])


@page(Permission.OPERATE, "GET", "HEAD", "POST")
def take_in(request: Request) -> HttpResponse:
    form = ImportForm(request.POST or None, request.FILES or None, workspace_id=request.acting.workspace_id)
    made = attempt(form, lambda: _taken_in(form, request))
    if made:
        return redirect("sessions:session", made.pk)
    return render(request, "sessions/import.html", {"form": form}, status=422 if form.errors else 200)


def _taken_in(form: ImportForm, request: Request) -> Session:
    given = form.cleaned_data
    return exports.take_in(given["file"], given["agent"], given["environment"], request.acting)


@page(Permission.READ)
def replay(request: Request) -> HttpResponse:
    """The page that plays an exported file; the file stays in the browser, which draws of ``shown`` only these tags."""
    return render(request, "sessions/replay.html", {"tags": " ".join(sorted(MARKDOWN_TAGS))})
