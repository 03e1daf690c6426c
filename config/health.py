"""`/healthz`: this process answers. `/readyz`: it can serve; each part of the installation is named with its state."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from sessions.system import checks

NEEDED = ("database",)  # without it no page and no request can be answered; without the rest sessions wait, and say so


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """200 as long as the process can answer at all. Restart it when this fails."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """503 where this server can't serve: send it no traffic then. Every part has its state, "ok" or what is wrong.

    A part that this server can do without (no worker, say) makes it "degraded", and 503 only with `?all`: that asks
    whether the installation is whole, as a monitor does, or whoever has just started it.
    """
    parts = checks.states()
    lacking = {name for name, state in parts.items() if state != "ok"}
    status = "not ready" if lacking.intersection(NEEDED) else "degraded" if lacking else "ready"
    refused = status != "ready" if "all" in request.GET else status == "not ready"
    return JsonResponse({"status": status, "parts": parts}, status=503 if refused else 200)
