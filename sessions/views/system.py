"""The system page, and the catalogue of everything a session can report as an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from contract.door import page
from contract.errors import InvalidRequest
from contract.roles import Permission, may
from sessions import actions, machines
from sessions.projections import faults
from sessions.system import state

if TYPE_CHECKING:
    from django.http import HttpResponse

    from contract.http import Request


@page(Permission.READ)
def system(request: Request) -> HttpResponse:
    context = {**state.context(request.acting), "operates": may(request.acting.role, Permission.OPERATE)}
    return render(request, "system/system.html", context)


@page(Permission.READ)
def errors(request: Request) -> HttpResponse:
    return render(request, "system/errors.html", {"faults": faults.CATALOGUE.values()})


@page(Permission.ADMINISTER, "GET", "HEAD", "POST")
def machine(request: Request, name: str) -> HttpResponse:
    """Ask before a machine is drained or taken back, then do it: the form's ``action`` says which."""
    found = machines.get(name, request.acting)
    if request.method == "POST":
        draining = request.POST.get("action") == "drain"
        machines.set_draining(name, request.acting, draining=draining)
        said = _("{} is draining: it takes no other sessions.") if draining else _("{} takes sessions again.")
        messages.success(request, said.format(name), "done")
        return redirect("sessions:system")
    return render(request, "system/machine.html", {"machine": found})


@page(Permission.OPERATE, "POST")
def retry(request: Request, session_id: str) -> HttpResponse:
    """Ask again where a turn gave up, as the system page lists them."""
    try:
        actions.retry_session(session_id, request.acting)
        messages.success(request, _("The turn is tried again."), "done")
    except InvalidRequest as error:
        messages.error(request, error.message, "failed")
    return redirect("sessions:system")
