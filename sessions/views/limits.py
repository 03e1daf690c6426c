"""The page of a workspace's limits: what is in force, what is used, what runs and what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from agents.models import Workspace
from contract.door import attempt, page
from contract.roles import Permission
from sessions import caps, limitpage

if TYPE_CHECKING:
    from django.http import HttpResponse

    from contract.http import Request


@page(Permission.READ)
def limits(request: Request) -> HttpResponse:
    return render(request, "limits/limits.html", limitpage.context(request.acting))


@page(Permission.ADMINISTER, "GET", "HEAD", "POST")
def limits_edit(request: Request) -> HttpResponse:
    """What has stopped goes on at once where there is room again."""
    stored = Workspace.objects.values_list("limits", flat=True).get(pk=request.acting.workspace_id)
    form = limitpage.LimitsForm(request.POST or None, stored=stored)
    if attempt(form, lambda: caps.change_workspace(form.body(), request.acting)):
        messages.success(request, _("Saved. Sessions that have room again go on."), "done")
        return redirect("sessions:limits")
    return render(request, "limits/form.html", {"form": form}, status=422 if form.errors else 200)
