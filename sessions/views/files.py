"""The workspace's files: what was uploaded and what sessions made, upload, download, deletion."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contract import pieces
from contract.door import explain, page
from contract.errors import ApiError, NotFound, PermissionDenied
from contract.roles import Permission
from sessions import files
from sessions.forms import FilesField
from sessions.models import File

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpResponse
    from django.http.response import HttpResponseBase

    from contract.http import Request

PAGE_SIZE = 50
DAY = 86_400
EXPIRIES = (
    ("", gettext_lazy("Never")),
    (str(DAY), gettext_lazy("In a day")),
    (str(7 * DAY), gettext_lazy("In a week")),
    (str(30 * DAY), gettext_lazy("In 30 days")),
    (str(files.MAX_EXPIRY), gettext_lazy("In 90 days")),
)
KINDS = {"uploads": Q(session=None), "made": Q(downloadable=True), "copies": Q(downloadable=False) & ~Q(session=None)}
SOON = timedelta(days=1)


class UploadForm(forms.Form):
    """Files to keep for sessions, and for how long."""

    chosen = FilesField(label=gettext_lazy("Files"), help_text=gettext_lazy("At most 500 MB each."))
    expiry = forms.ChoiceField(label=gettext_lazy("They expire"), choices=EXPIRIES, required=False)

    def clean_chosen(self) -> list[Any]:
        chosen: list[Any] = self.cleaned_data["chosen"]
        if not chosen:
            raise forms.ValidationError(_("Choose a file first."))
        return chosen


@page(Permission.READ)
def file_list(request: Request) -> HttpResponse:
    """Newest first. ``?kind=`` is one of ``KINDS``, ``?q=`` a part of the name, ``?session=`` an id."""
    return _page(request, UploadForm())


@page(Permission.OPERATE, "POST")
def file_upload(request: Request) -> HttpResponse:
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, form, status=422)
    seconds = int(form.cleaned_data["expiry"] or 0) or None
    try:
        for one in form.cleaned_data["chosen"]:
            kept = {"filename": one.name or "", "mime_type": one.content_type, "expires_in_seconds": seconds}
            files.upload(one, acting=request.acting, **kept)
    except (PermissionDenied, NotFound):
        raise
    except ApiError as error:
        explain(form, error)
        return _page(request, form, status=422)
    messages.success(request, _("Uploaded. Attach them to a session where you start it."), "done")
    return redirect("sessions:all_files")


@page(Permission.READ)
def file_download(request: Request, file_id: str) -> HttpResponseBase:
    file, stream = files.open_download(file_id, request.acting)
    return pieces.download(stream, filename=file.filename, mime_type=file.mime_type)


@page(Permission.OPERATE, "POST")
def file_delete(request: Request, file_id: str) -> HttpResponse:
    name = files.find_file(file_id, request.acting).filename
    files.delete(file_id, request.acting)
    messages.success(request, _("%(name)s is deleted.") % {"name": name}, "done")
    return redirect("sessions:all_files")


def _page(request: Request, form: UploadForm, status: int = 200) -> HttpResponse:
    given = {name: request.GET.get(name, "").strip().replace("\x00", "")[:200] for name in ("kind", "q", "session")}
    rows = _filtered(request, given)
    shown = Paginator(rows.select_related("session"), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"page": shown, "form": form, "soon": timezone.now() + SOON, "filtered": any(given.values()), **given}
    return render(request, "files/list.html", context, status=status)


def _filtered(request: Request, given: dict[str, str]) -> QuerySet[File]:
    alive = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    rows = File.objects.filter(alive, workspace_id=request.acting.workspace_id)
    if given["kind"] in KINDS:
        rows = rows.filter(KINDS[given["kind"]])
    if given["q"]:
        rows = rows.filter(filename__icontains=given["q"])
    return rows.filter(session_id=given["session"]) if given["session"] else rows
