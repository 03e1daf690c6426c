"""Pages of webhook endpoints: where what happens is told, and how that went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.db.models import Count, Q
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _

from contract.door import attempt, page
from contract.errors import ApiError, NotFound, PermissionDenied
from contract.roles import Permission
from sessions import liveparts
from sessions.models import WebhookEndpoint
from sessions.webhooks import endpoints
from sessions.webhooks.forms import EndpointForm

if TYPE_CHECKING:
    from django.http import HttpResponse

    from contract.http import Request


@page(Permission.ADMINISTER)
def webhook_list(request: Request) -> HttpResponse:
    waiting = Count("deliveries", filter=Q(deliveries__state="pending"))
    rows = WebhookEndpoint.objects.filter(workspace_id=request.acting.workspace_id, organization=False)
    return render(request, "webhooks/list.html", {"endpoints": rows.annotate(waiting=waiting)})


@page(Permission.ADMINISTER, "GET", "HEAD", "POST")
def webhook_new(request: Request) -> HttpResponse:
    form = EndpointForm(request.POST or None)
    made = attempt(form, lambda: endpoints.create(form.body(), request.acting, organization=False))
    if made:
        endpoint, secret = made
        return render(request, "webhooks/secret.html", {"endpoint": endpoint, "secret": secret})
    status = 422 if form.errors else 200
    return render(request, "webhooks/form.html", {"form": form}, status=status)


@page(Permission.ADMINISTER)
def webhook(request: Request, endpoint_id: str) -> HttpResponse:
    """An endpoint and its deliveries, newest first."""
    context = liveparts.deliveries(endpoint_id, request.acting, request.GET.get("page"))
    return render(request, "webhooks/webhook.html", context)


@page(Permission.ADMINISTER, "GET", "HEAD", "POST")
def webhook_edit(request: Request, endpoint_id: str) -> HttpResponse:
    endpoint = endpoints.find(endpoint_id, request.acting, organization=False)
    form = EndpointForm(request.POST or None, endpoint=endpoint)
    if attempt(form, lambda: endpoints.update(endpoint_id, form.body(), request.acting, organization=False)):
        messages.success(request, _("Saved."), "done")
        return redirect("sessions:webhook", endpoint_id)
    status = 422 if form.errors else 200
    return render(request, "webhooks/form.html", {"form": form, "endpoint": endpoint}, status=status)


@page(Permission.ADMINISTER, "POST")
def webhook_state(request: Request, endpoint_id: str) -> HttpResponse:
    """Enable or disable it: ``state`` in the form says which."""
    wanted = "enabled" if request.POST.get("state") == "enabled" else "disabled"
    endpoints.update(endpoint_id, {"state": wanted}, request.acting, organization=False)
    text = _("Enabled. What happened meanwhile is not delivered.") if wanted == "enabled" else _("Disabled.")
    messages.success(request, text, "done")
    return redirect("sessions:webhook", endpoint_id)


@page(Permission.ADMINISTER, "POST")
def webhook_secret(request: Request, endpoint_id: str) -> HttpResponse:
    secret = endpoints.regenerate_secret(endpoint_id, request.acting, organization=False)
    endpoint = endpoints.find(endpoint_id, request.acting, organization=False)
    return render(request, "webhooks/secret.html", {"endpoint": endpoint, "secret": secret})


@page(Permission.ADMINISTER, "POST")
def webhook_delete(request: Request, endpoint_id: str) -> HttpResponse:
    endpoints.delete(endpoint_id, request.acting, organization=False)
    messages.success(request, _("The endpoint and its delivery log are deleted."), "done")
    return redirect("sessions:webhooks")


@page(Permission.ADMINISTER, "POST")
def webhook_redeliver(request: Request, endpoint_id: str) -> HttpResponse:
    """Send one delivery again: ``delivery`` in the form names it."""
    try:
        endpoints.redeliver(endpoint_id, request.POST.get("delivery", ""), request.acting)
    except (NotFound, PermissionDenied):
        raise
    except ApiError as error:
        messages.error(request, error.message, "failed")
    else:
        messages.success(request, _("It is being sent again."), "done")
    return redirect("sessions:webhook", endpoint_id)
