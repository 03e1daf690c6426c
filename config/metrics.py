"""``/metrics`` for Prometheus: what the database knows of the installation, counted when it is asked for."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Count, Min, Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from sessions.harness.lease import workers_alive
from sessions.models import Deployment, Session, Thread, WebhookDelivery, WebhookEndpoint, Work
from sessions.models.shapes import STATUSES
from sessions.system import checks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import GaugeMetricFamily

OTHERS = tuple(status for status in STATUSES if status != "idle")


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Off unless ``METRICS_TOKEN`` is set; then for whoever sends it as a bearer token."""
    token = settings.HOLDFAST_METRICS_TOKEN.reveal()
    if not token:
        return HttpResponse("Metrics are off; set METRICS_TOKEN.\n", status=404, content_type="text/plain")
    sent = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(sent.encode(), token.encode()):
        return HttpResponse("Send the metrics token.\n", status=401, content_type="text/plain")
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    registry = CollectorRegistry()
    registry.register(Installation())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class Installation:
    """The figures, asked of the database each time they are collected."""

    def collect(self) -> Iterable[GaugeMetricFamily]:
        from prometheus_client.core import GaugeMetricFamily

        sessions = GaugeMetricFamily("holdfast_sessions", "Sessions that are not archived.", labels=["status"])
        for status, count in _by_status().items():
            sessions.add_metric([status], count)
        yield sessions
        waiting = Session.objects.filter(archived_at=None, pending_count__gt=0).count()
        yield GaugeMetricFamily("holdfast_sessions_waiting", "Sessions that wait for an answer.", waiting)
        yield GaugeMetricFamily("holdfast_workers", "Worker processes alive.", len(workers_alive()))
        parts = GaugeMetricFamily("holdfast_part_up", "1 for a part of the installation that answers.", labels=["part"])
        for name, state in checks.states().items():
            parts.add_metric([name], float(state == "ok"))
        yield parts
        live = Q(status__in=("running", "rescheduling"))
        turns = Thread.objects.filter(live, lease_expires__gt=timezone.now()).count()
        yield GaugeMetricFamily("holdfast_turns", "Turns that a worker is at.", turns)
        queue = Work.objects.filter(state="queued")
        yield GaugeMetricFamily("holdfast_work_queued", "Sessions that wait for an outside worker.", queue.count())
        pending = WebhookDelivery.objects.filter(state="pending").count()
        yield GaugeMetricFamily("holdfast_webhook_deliveries_pending", "Webhooks to be delivered.", pending)
        disabled = WebhookEndpoint.objects.filter(state="disabled").exclude(disabled_reason="").count()
        yield GaugeMetricFamily("holdfast_webhook_endpoints_disabled", "Endpoints disabled for failing.", disabled)
        due = Deployment.objects.filter(fire_at__lte=timezone.now()).aggregate(first=Min("fire_at"))["first"]
        late = (timezone.now() - due).total_seconds() if due else 0.0
        yield GaugeMetricFamily("holdfast_schedule_delay_seconds", "How late the latest due run is.", late)


def _by_status() -> dict[str, int]:
    """How many sessions there are by status. Nearly all are idle: those are counted as what the others leave, out of an
    index, since the rows of many sessions are more than the database keeps in memory.
    """
    kept = Session.objects.filter(archived_at=None)
    others = dict(kept.filter(status__in=OTHERS).values_list("status").annotate(count=Count("pk")).order_by())
    return {"idle": max(0, kept.count() - sum(others.values())), **dict.fromkeys(OTHERS, 0), **others}
