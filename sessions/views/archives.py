"""The page of archives: the workspace out as one signed file, and another one's in, once it was looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contract import pieces
from contract.door import attempt, page
from contract.errors import ApiError, NotFound, PermissionDenied
from contract.roles import Permission
from contract.secret import Secret
from sessions.exchange import transfers
from sessions.exchange.archive import MIN_PASSPHRASE
from sessions.models import Transfer
from sessions.models.transfers import CHECKED, IMPORT
from sessions.wake import drive_transfer

if TYPE_CHECKING:
    from django.http import HttpResponse
    from django.http.response import HttpResponseBase

    from contract.http import Request

SHOWN = 50
NAMES = {
    "AgentVersion": gettext_lazy("Agent versions"),
    "SkillVersion": gettext_lazy("Skill versions"),
    "MemoryStore": gettext_lazy("Memory stores"),
    "MemoryVersion": gettext_lazy("Memory versions"),
    "Memory": gettext_lazy("Memories"),
    "UserProfile": gettext_lazy("User profiles"),
    "Credential": gettext_lazy("Credentials, without their secrets"),
    "Deployment": gettext_lazy("Schedules, paused"),
    "DeploymentRun": gettext_lazy("Runs of schedules"),
    "WorkflowRun": gettext_lazy("Workflow runs"),
    "DreamKit": gettext_lazy("What dreams run with"),
}


class ExportForm(forms.Form):
    """What signs the archive."""

    passphrase = forms.CharField(
        label=gettext_lazy("Passphrase"),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "minlength": MIN_PASSPHRASE}),
        strip=False,
        help_text=gettext_lazy("It signs the archive and is needed to import it. It is kept nowhere, so note it down."),
    )


class ImportForm(forms.Form):
    """An archive, and what it was signed with."""

    archive = forms.FileField(
        label=gettext_lazy("Archive"),
        help_text=gettext_lazy("At most 500 MB here; larger ones by manage.py import_workspace."),
    )
    passphrase = forms.CharField(
        label=gettext_lazy("Its passphrase"), strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "off"})
    )


@page(Permission.ADMINISTER)
def archive_list(request: Request) -> HttpResponse:
    return _page(request, ExportForm(prefix="out"), ImportForm(prefix="in"))


@page(Permission.ADMINISTER, "POST")
def archive_export(request: Request) -> HttpResponse:
    form = ExportForm(request.POST, prefix="out")
    begun = attempt(form, lambda: transfers.export(Secret(form.cleaned_data["passphrase"]), request.acting))
    if begun:
        drive_transfer(begun.pk)
        return redirect("sessions:archives")
    return _page(request, form, ImportForm(prefix="in"), status=422)


@page(Permission.ADMINISTER, "POST")
def archive_import(request: Request) -> HttpResponse:
    """Check an archive; nothing is brought in yet."""
    form = ImportForm(request.POST, request.FILES, prefix="in")
    begun = attempt(form, lambda: _taken_in(form, request))
    if begun:
        drive_transfer(begun.pk)
        return redirect("sessions:archives")
    return _page(request, ExportForm(prefix="out"), form, status=422)


def _taken_in(form: ImportForm, request: Request) -> Transfer:
    given = form.cleaned_data
    return transfers.take_in(given["archive"], Secret(given["passphrase"]), request.acting)


@page(Permission.ADMINISTER, "POST")
def archive_confirm(request: Request, transfer_id: str) -> HttpResponse:
    try:
        drive_transfer(transfers.confirm(transfer_id, request.acting).pk)
    except (NotFound, PermissionDenied):
        raise
    except ApiError as error:
        messages.error(request, error.message, "failed")
    return redirect("sessions:archives")


@page(Permission.ADMINISTER, "POST")
def archive_discard(request: Request, transfer_id: str) -> HttpResponse:
    try:
        transfers.discard(transfer_id, request.acting)
    except (NotFound, PermissionDenied):
        raise
    except ApiError as error:
        messages.error(request, error.message, "failed")
    else:
        messages.success(request, _("The archive is forgotten."), "done")
    return redirect("sessions:archives")


@page(Permission.ADMINISTER)
def archive_download(request: Request, transfer_id: str) -> HttpResponseBase:
    transfer, source = transfers.open_export(transfer_id, request.acting)
    return pieces.download(source, filename=transfer.filename, mime_type="application/zip")


def _page(request: Request, out: ExportForm, taken: ImportForm, status: int = 200) -> HttpResponse:
    rows = Transfer.objects.filter(workspace_id=request.acting.workspace_id).select_related("created_by")[:SHOWN]
    lines = [_line(one) for one in rows]
    context = {"out": out, "taken": taken, "lines": lines, "going": any(line["one"].is_open for line in lines)}
    return render(request, "archives/list.html", context, status=status)


def _line(one: Transfer) -> dict[str, Any]:
    """An archive with what its report says, in words."""
    found = [(NAMES.get(name, f"{name}s"), count, here) for name, (count, here) in one.report.get("rows", {}).items()]
    at = transfers.progress(one) if one.is_open else None
    return {
        "one": one,
        "rows": [row for row in found if row[1]],
        "total": sum(row[1] for row in found),
        "here": sum(row[2] for row in found),
        "asks": one.kind == IMPORT and one.state == CHECKED,
        "at": (NAMES.get(at[0], f"{at[0]}s" if at[0][:1].isupper() else at[0]), at[1]) if at else None,
    }
