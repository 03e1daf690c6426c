"""Pages of the targets of notices: who is told, by mail or webhook, that calls wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from contract.door import attempt, page
from contract.roles import Permission
from sessions.approvals import targets
from sessions.approvals.forms import TargetForm

if TYPE_CHECKING:
    from django.http import HttpResponse

    from contract.http import Request
    from sessions.models import NoticeTarget


@page(Permission.ADMINISTER)
def notice_list(request: Request) -> HttpResponse:
    context = {"targets": targets.targets_of(request.acting), "mails": bool(settings.EMAIL_HOST)}
    return render(request, "notices/list.html", context)


@page(Permission.ADMINISTER, "GET", "HEAD", "POST")
def notice_new(request: Request) -> HttpResponse:
    form = TargetForm(request.POST or None)
    made = attempt(form, lambda: _added(form, request))
    if made:
        target, key = made
        if key:
            return render(request, "notices/secret.html", {"target": target, "key": key})
        messages.success(request, _("Added. Send a trial to see that it arrives."), "done")
        return redirect("sessions:notices")
    return render(request, "notices/form.html", {"form": form}, status=422 if form.errors else 200)


@page(Permission.ADMINISTER, "GET", "HEAD", "POST")
def notice_edit(request: Request, target_id: str) -> HttpResponse:
    target = targets.find_target(target_id, request.acting)
    form = TargetForm(request.POST or None, target=target)
    if attempt(form, lambda: targets.change_target(target_id, form.cleaned_data["address"], request.acting)):
        messages.success(request, _("Saved."), "done")
        return redirect("sessions:notices")
    context = {"form": form, "target": target}
    return render(request, "notices/form.html", context, status=422 if form.errors else 200)


@page(Permission.ADMINISTER, "POST")
def notice_test(request: Request, target_id: str) -> HttpResponse:
    """Send a trial message, and say how it went."""
    target = targets.try_target(target_id, request.acting)
    if target.last_error:
        messages.error(request, _("The trial failed. %(error)s") % {"error": target.last_error}, "failed")
    else:
        messages.success(request, _("The trial was sent to %(address)s.") % {"address": target.address}, "done")
    return redirect("sessions:notices")


@page(Permission.ADMINISTER, "POST")
def notice_delete(request: Request, target_id: str) -> HttpResponse:
    targets.remove_target(target_id, request.acting)
    messages.success(request, _("Removed. It is told of nothing any more."), "done")
    return redirect("sessions:notices")


def _added(form: TargetForm, request: Request) -> tuple[NoticeTarget, str]:
    given = form.cleaned_data
    return targets.add_target(given["kind"], given["address"], request.acting)
