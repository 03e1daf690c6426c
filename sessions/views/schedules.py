"""Pages of deployments: what runs by itself, when it runs next and how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import OuterRef, Subquery
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from agents.models import Environment
from contract import rows
from contract.door import page
from contract.roles import Permission
from contract.zone_names import zone_names
from sessions import liveparts
from sessions.models import Deployment, DeploymentRun
from sessions.schedules import actions
from sessions.schedules.forms import DeploymentForm
from sessions.schedules.runs import run_now
from sessions.schedules.shapes import upcoming

if TYPE_CHECKING:
    from django.http import HttpResponse

    from contract.http import Request

PAGE_SIZE = 50
REASONS = {
    "manual": _("Paused by a person."),
    "agent_archived_error": _("Paused: an agent it works with is archived."),
    "environment_archived_error": _("Paused: its environment is archived."),
    "environment_not_found_error": _("Paused: its environment was deleted."),
    "vault_not_found_error": _("Paused: a vault was deleted."),
    "vault_archived_error": _("Paused: a vault is archived."),
    "file_not_found_error": _("Paused: a file is gone."),
    "session_resource_not_found_error": _("Paused: something it mounts is gone."),
    "memory_store_archived_error": _("Paused: a memory store is archived."),
    "skill_not_found_error": _("Paused: a skill of its agent is gone."),
    "self_hosted_resources_unsupported_error": _("Paused: its environment's workers can't mount its files."),
    "mcp_egress_blocked_error": _("Paused: its environment's network blocks an MCP server of its agent."),
}


@page(Permission.READ)
def schedule_list(request: Request) -> HttpResponse:
    last = DeploymentRun.objects.filter(deployment=OuterRef("pk")).order_by("-created_at", "-pk")
    rows = Deployment.objects.filter(workspace_id=request.acting.workspace_id).select_related("agent")
    rows = rows.annotate(
        last_error=Subquery(last.values("error__type")[:1]), last_at=Subquery(last.values("created_at")[:1])
    )
    archived = request.GET.get("archived") == "1"
    rows = rows if archived else rows.filter(archived_at=None)
    shown = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "schedules/list.html", {"page": shown, "archived": archived})


@page(Permission.READ)
def schedule(request: Request, deployment_id: str) -> HttpResponse:
    """When it runs next, how it went, and the buttons."""
    shown = liveparts.runs(deployment_id, request.acting)
    found = shown["deployment"]
    context = {
        **shown,
        "environment_name": Environment.objects.filter(pk=found.environment_id).values_list("name", flat=True).first(),
        "upcoming": upcoming(found, timezone.now()),
        "reason": _reason(found),
        "words": [block for event in found.initial_events for block in event.get("content") or ()],
    }
    return render(request, "schedules/schedule.html", context)


@page(Permission.BUILD, "GET", "HEAD", "POST")
def schedule_new(request: Request) -> HttpResponse:
    form = DeploymentForm(rows.sent(request), acting=request.acting)
    made = rows.attempt(request, form, lambda: actions.create(form.deployment_body(), request.acting))
    if made:
        messages.success(request, _("%(name)s is ready.") % {"name": made.name}, "done")
        return redirect("sessions:schedule", made.pk)
    return _form(request, form)


@page(Permission.BUILD, "GET", "HEAD", "POST")
def schedule_edit(request: Request, deployment_id: str) -> HttpResponse:
    found = actions.find(deployment_id, request.acting)
    form = DeploymentForm(rows.sent(request), acting=request.acting, deployment=found)
    if rows.attempt(request, form, lambda: actions.update(deployment_id, form.deployment_body(), request.acting)):
        messages.success(request, _("Saved. Sessions that run keep what they started with."), "done")
        return redirect("sessions:schedule", deployment_id)
    return _form(request, form, deployment=found)


@page(Permission.OPERATE, "POST")
def schedule_run(request: Request, deployment_id: str) -> HttpResponse:
    run = run_now(deployment_id, request.acting)
    if run.session_id:
        return redirect("sessions:session", run.session_id)
    said = _("No session was started. %(why)s") % {"why": (run.error or {}).get("message", "")}
    messages.error(request, said, "failed")
    return redirect("sessions:schedule", deployment_id)


@page(Permission.OPERATE, "POST")
def schedule_pause(request: Request, deployment_id: str) -> HttpResponse:
    """Pause it, or let it go on: ``resume`` in the form says which."""
    if "resume" in request.POST:
        actions.unpause(deployment_id, request.acting)
        messages.success(request, _("The schedule goes on from now. What it missed is not made up for."), "done")
    else:
        actions.pause_by_hand(deployment_id, request.acting)
        messages.success(request, _("Paused. Sessions that run go on, and it can still be run by hand."), "done")
    return redirect("sessions:schedule", deployment_id)


@page(Permission.BUILD, "POST")
def schedule_archive(request: Request, deployment_id: str) -> HttpResponse:
    actions.archive(deployment_id, request.acting)
    messages.success(request, _("The deployment is archived and starts nothing any more."), "done")
    return redirect("sessions:schedule", deployment_id)


def _reason(deployment: Deployment) -> str:
    reason = deployment.paused_reason
    if not reason:
        return ""
    kind = reason["error"]["type"] if reason["type"] == "error" else reason["type"]
    return str(REASONS.get(kind, _("Paused: a run failed.")))


def _form(request: Request, form: DeploymentForm, **context: Any) -> HttpResponse:
    zones = sorted(name for name in zone_names() if "/" in name and not name.startswith(("Etc/", "posix", "right")))
    return rows.form_page(request, "schedules/form.html", {"form": form, "zones": zones, **context})
