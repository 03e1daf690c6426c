"""The page of a self_hosted environment's workers: its queue, who asked lately, and the keys they ask with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _

from contract.door import page
from contract.roles import Permission
from sessions.liveparts import self_hosted, waiting
from sessions.work import keys

if TYPE_CHECKING:
    from django.http import HttpResponse

    from agents.models import Environment
    from contract.http import Request

LISTED = 50


class KeyForm(forms.Form):
    """A new environment key."""

    name = forms.CharField(label=_("Name"), max_length=256, help_text=_("The machine or program that will use it."))


@page(Permission.READ)
def workers(request: Request, environment_id: str) -> HttpResponse:
    return _shown(request, self_hosted(environment_id, request.acting), KeyForm())


@page(Permission.ADMINISTER, "POST")
def worker_key(request: Request, environment_id: str) -> HttpResponse:
    environment = self_hosted(environment_id, request.acting)
    form = KeyForm(request.POST)
    if not form.is_valid():
        return _shown(request, environment, form, status=422)
    key, plain = keys.issue(environment_id, form.cleaned_data["name"], request.acting)
    context = {"environment": environment, "key": key, "plain": plain, "base_url": settings.HOLDFAST_PUBLIC_URL}
    return render(request, "environments/worker_key.html", context)


@page(Permission.ADMINISTER, "POST")
def worker_key_revoke(request: Request, environment_id: str) -> HttpResponse:
    """End a key at once: ``key`` in the form names it."""
    key = keys.revoke(environment_id, request.POST.get("key", ""), request.acting)
    said = _("%(name)s is revoked. Workers that use it are refused from now on.") % {"name": key.name}
    messages.success(request, said, "done")
    return redirect("sessions:workers", environment_id)


def _shown(request: Request, environment: Environment, form: KeyForm, status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {
        **waiting(environment.pk, request.acting),
        "keys": environment.worker_keys.all()[:LISTED],
        "form": form,
    }
    return render(request, "environments/workers.html", context, status=status)
