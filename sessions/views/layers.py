"""An environment's packages and sandboxes: a page of its own, and a part of the environment's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from agents.actions import find_environment
from contract.door import page
from contract.errors import InvalidRequest
from contract.roles import Permission, may
from sessions import layers

if TYPE_CHECKING:
    from django.http import HttpResponse

    from contract.http import Request


@page(Permission.READ)
def environment_state(request: Request, environment_id: str) -> HttpResponse:
    environment = find_environment(environment_id, request.acting)
    rebuilds = may(request.acting.role, Permission.BUILD) and environment.archived_at is None
    context = {"environment": environment, "state": layers.state(environment), "rebuilds": rebuilds}
    return render(request, "environments/state.html", context)


@page(Permission.BUILD, "POST")
def environment_rebuild(request: Request, environment_id: str) -> HttpResponse:
    try:
        layers.rebuild(environment_id, request.acting)
        messages.success(request, _("The packages are being installed anew."), "done")
    except InvalidRequest as error:
        messages.error(request, error.message, "failed")
    return redirect("agents:environment", environment_id)
