"""Pages of environments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents import actions
from agents.environments import MANAGERS
from agents.forms import EnvironmentForm
from agents.models import Environment
from agents.views.shared import listed
from contract import rows
from contract.door import page
from contract.errors import Conflict, PermissionDenied
from contract.roles import Permission, may

if TYPE_CHECKING:
    from django.http import HttpResponse

    from contract.http import Request


@page(Permission.READ)
def environment_list(request: Request) -> HttpResponse:
    found = Environment.objects.filter(workspace_id=request.acting.workspace_id)
    holdfast = settings.HOLDFAST
    image = holdfast.sandbox_image if holdfast.sandbox == "docker" else None
    return render(request, "environments/list.html", {**listed(request, found), "sandbox_image": image})


@page(Permission.BUILD, "GET", "HEAD", "POST")
def environment_new(request: Request) -> HttpResponse:
    form = EnvironmentForm(rows.sent(request))
    made = rows.attempt(request, form, lambda: actions.create_environment(form.body(), request.acting))
    if made:
        messages.success(request, _("%(name)s is ready.") % {"name": made.name}, "done")
        return redirect("agents:environments")
    return rows.form_page(request, "environments/form.html", {"form": form})


@page(Permission.READ, "GET", "HEAD", "POST")
def environment(request: Request, environment_id: str) -> HttpResponse:
    """An environment; a form for those who may change it."""
    found = actions.find_environment(environment_id, request.acting)
    may_change = may(request.acting.role, Permission.BUILD) and found.archived_at is None
    if not may_change:
        if request.method == "POST":
            request.acting.require(Permission.BUILD)
            raise PermissionDenied(gettext("An archived environment can't be changed."))
        return render(request, "environments/form.html", {"environment": found, "packages": _packages(found)})
    form = EnvironmentForm(rows.sent(request), initial=_environment_initial(found), environment=found)
    if rows.attempt(request, form, lambda: actions.update_environment(environment_id, form.body(), request.acting)):
        messages.success(request, _("Saved."), "done")
        return redirect("agents:environment", environment_id)
    return rows.form_page(request, "environments/form.html", {"form": form, "environment": found})


@page(Permission.BUILD, "POST")
def environment_archive(request: Request, environment_id: str) -> HttpResponse:
    archived = actions.archive_environment(environment_id, request.acting)
    said = _("%(name)s is archived. No new session can use it.") % {"name": archived.name}
    messages.success(request, said, "done")
    return redirect("agents:environment", environment_id)


@page(Permission.BUILD, "POST")
def environment_delete(request: Request, environment_id: str) -> HttpResponse:
    """Only one that no session uses can be deleted; the others are archived."""
    name = actions.find_environment(environment_id, request.acting).name
    try:
        actions.delete_environment(environment_id, request.acting)
    except Conflict as error:
        messages.error(request, error.message, "failed")
        return redirect("agents:environment", environment_id)
    messages.success(request, _("%(name)s is deleted.") % {"name": name}, "done")
    return redirect("agents:environments")


def _environment_initial(found: Environment) -> dict[str, Any]:
    networking = found.config.get("networking") or {}
    return {
        "name": found.name,
        "description": found.description or "",
        "networking": networking.get("type", "unrestricted"),
        "allowed_hosts": "\n".join(networking.get("allowed_hosts", ())),
        "allow_package_managers": networking.get("allow_package_managers", False),
        "allow_mcp_servers": networking.get("allow_mcp_servers", False),
        "packages": "\n".join(_packages(found)),
    }


def _packages(found: Environment) -> list[str]:
    """The environment's packages, each after its manager."""
    lists = found.config.get("packages") or {}
    return [f"{manager} {name}" for manager in MANAGERS for name in lists.get(manager, ())]
