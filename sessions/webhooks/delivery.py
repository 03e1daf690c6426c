"""Sending: up to three attempts with growing pauses, each signed anew; endpoints that misbehave are disabled.

A worker claims a delivery by a conditional update, so that two never send the same one at the same time, and only a
few of one endpoint are under way at once, so that a target that hangs can't hold all workers.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from contract.times import timestamp
from credentials import crypto
from credentials.dialling import AddressRefused, Line, Unreachable
from sessions.models import WebhookDelivery, WebhookEndpoint
from sessions.models.webhooks import DELIVERED, DISABLED, DROPPED, ENABLED, FAILED, PENDING
from sessions.webhooks import signing
from sessions.webhooks.wake import wake

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.db.models import QuerySet

MAX_ATTEMPTS = 3
SEND_SECONDS = 10.0
CLAIM_SECONDS = 30.0
AT_ONCE = 4
IN_ONE_TASK = 50
PAUSES = (5.0, 120.0)
PAUSE_GROWTH = 5.0
PATIENCE = timedelta(hours=24)
FORGOTTEN_AT_ONCE = 2_000  # rows of one statement, so that none holds its locks for long
REDIRECTED = "auto-disabled: endpoint URL returned a redirect (3xx)"
BAD_ADDRESS = "auto-disabled: endpoint URL resolved to an invalid address"
SUSTAINED = "auto-disabled after sustained delivery failures"

CLAIM = """
UPDATE agent_sessions_webhookdelivery SET attempts = attempts + 1,
  claimed_until = clock_timestamp() + %s * interval '1 second'
WHERE id = (
  SELECT d.id FROM agent_sessions_webhookdelivery d JOIN agent_sessions_webhookendpoint e ON e.id = d.endpoint_id
  WHERE d.endpoint_id = %s AND e.state = 'enabled' AND d.state = 'pending' AND d.attempts < %s
    AND d.next_attempt_at <= clock_timestamp() AND (d.claimed_until IS NULL OR d.claimed_until < clock_timestamp())
    AND (SELECT count(*) FROM agent_sessions_webhookdelivery f WHERE f.endpoint_id = d.endpoint_id
         AND f.state = 'pending' AND f.claimed_until > clock_timestamp()) < %s
  ORDER BY d.next_attempt_at LIMIT 1 FOR UPDATE OF d SKIP LOCKED)
RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt went. ``disable`` is the reason to send nothing more to this endpoint."""

    status: int | None
    error: str = ""
    disable: str = ""

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def deliver(endpoint_id: str) -> int:
    """Send what is due for an endpoint; how many attempts were made."""
    for done in range(IN_ONE_TASK):
        delivery = _claim(endpoint_id)
        if delivery is None:
            return done
        started = time.monotonic()
        outcome = attempt(delivery)
        _settle(delivery, outcome, time.monotonic() - started)
    wake(endpoint_id)  # the rest, after others had their turn
    return IN_ONE_TASK


def _claim(endpoint_id: str) -> WebhookDelivery | None:
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [CLAIM_SECONDS, endpoint_id, MAX_ATTEMPTS, AT_ONCE])
        row = cursor.fetchone()
    return WebhookDelivery.objects.select_related("endpoint").get(pk=row[0]) if row else None


def attempt(delivery: WebhookDelivery) -> Outcome:
    """One request. Redirects are not followed, and only addresses that may be dialled are."""
    endpoint = delivery.endpoint
    try:
        secret = crypto.unseal(bytes(endpoint.sealed_secret), endpoint.pk)
    except crypto.CannotOpen as error:
        return Outcome(None, str(error))
    signed = signing.headers(secret, delivery.event_id, int(time.time()), delivery.body)
    if not connection.in_atomic_block:
        connection.close()  # none is held while the target takes its time
    try:
        with Line(SEND_SECONDS) as line:
            reply = line.send("POST", endpoint.url, _headers(endpoint.url, signed), delivery.body.encode())
    except AddressRefused:
        return Outcome(None, "The host stands for an address that is not dialled.", BAD_ADDRESS)
    except Unreachable as error:
        return Outcome(None, f"No answer: {error}.")
    if 300 <= reply.status < 400:
        return Outcome(reply.status, "It answered with a redirect.", REDIRECTED)
    return Outcome(reply.status, "" if 200 <= reply.status < 300 else f"It answered with {reply.status}.")


def _headers(url: str, signed: Mapping[str, str]) -> dict[str, str]:
    return {
        "host": urlsplit(url).netloc.rpartition("@")[2],
        "content-type": "application/json",
        "user-agent": "Holdfast-Webhooks/1",
        **signed,
    }


def lock(endpoint_id: str) -> WebhookEndpoint | None:
    """An endpoint, held still until the transaction ends; None if it is gone.

    Whoever changes deliveries locks their endpoint first: deliveries settle side by side, and one of them may drop
    the others. Events can still be noted meanwhile.
    """
    return WebhookEndpoint.objects.select_for_update(no_key=True).filter(pk=endpoint_id).first()


def _settle(sent: WebhookDelivery, outcome: Outcome, seconds: float) -> None:
    with transaction.atomic():
        endpoint = lock(sent.endpoint_id)
        delivery = WebhookDelivery.objects.select_for_update().filter(pk=sent.pk, state=PENDING).first()
        if endpoint is None or delivery is None:
            return  # deleted, or dropped with its endpoint's others, meanwhile
        now = timezone.now()
        delivery.log = [*delivery.log, _entry(outcome, seconds)]
        delivery.claimed_until = None
        if outcome.delivered:
            delivery.state, delivery.finished_at, delivery.next_attempt_at = DELIVERED, now, None
        elif outcome.disable or delivery.attempts >= MAX_ATTEMPTS:
            delivery.state, delivery.finished_at, delivery.next_attempt_at = FAILED, now, None
        else:
            delivery.next_attempt_at = now + timedelta(seconds=pause(delivery.attempts))
        delivery.save(update_fields=["log", "claimed_until", "state", "finished_at", "next_attempt_at"])
        _judge(endpoint, outcome)


def _entry(outcome: Outcome, seconds: float) -> dict[str, Any]:
    at = timestamp(timezone.now())
    return {"at": at, "status": outcome.status, "error": outcome.error, "seconds": round(seconds, 3)}


def pause(attempts: int) -> float:
    """Seconds after a failed attempt: from five on, growing, with jitter, two minutes at most."""
    low, high = PAUSES
    wait = low * PAUSE_GROWTH ** (attempts - 1)
    return min(high, wait + random.uniform(0, wait))  # noqa: S311  spreads load, guards nothing


def _judge(endpoint: WebhookEndpoint, outcome: Outcome) -> None:
    """What an attempt means for its locked endpoint: one success forgives, a redirect or a day of failures disables."""
    now = timezone.now()
    if outcome.delivered:
        endpoint.failing_since, endpoint.last_success_at = None, now
    else:
        endpoint.failing_since = endpoint.failing_since or now
    endpoint.save(update_fields=["failing_since", "last_success_at"])
    reason = outcome.disable
    if not reason and endpoint.failing_since and now - endpoint.failing_since > PATIENCE:
        reason = SUSTAINED
    if reason and endpoint.state == ENABLED:
        disable(endpoint, reason)


def disable(endpoint: WebhookEndpoint, reason: str) -> None:
    """Stop deliveries to a locked endpoint; what waits is dropped, for a disabled one gets nothing later either."""
    endpoint.state, endpoint.disabled_reason, endpoint.updated_at = DISABLED, reason, timezone.now()
    endpoint.save(update_fields=["state", "disabled_reason", "updated_at"])
    _end(WebhookDelivery.objects.filter(endpoint=endpoint, state=PENDING), DROPPED)


def _end(rows: QuerySet[WebhookDelivery], state: str) -> None:
    rows.update(state=state, finished_at=timezone.now(), next_attempt_at=None, claimed_until=None)


def due() -> list[str]:
    """Endpoints for which something waits, for the sweeper to wake.

    Also ends what a dying worker left over, and what was noted in the moment in which its endpoint was disabled.
    """
    now = timezone.now()
    _end(WebhookDelivery.objects.filter(state=PENDING, attempts__gte=MAX_ATTEMPTS, claimed_until__lt=now), FAILED)
    _end(WebhookDelivery.objects.filter(state=PENDING, endpoint__state=DISABLED), DROPPED)
    waiting = WebhookDelivery.objects.filter(state=PENDING, next_attempt_at__lte=now)
    return list(waiting.order_by("endpoint_id").values_list("endpoint_id", flat=True).distinct())


def forget() -> None:
    """Remove the records of deliveries that were made more than ``WEBHOOK_DELIVERY_DAYS`` ago and have ended."""
    if not settings.HOLDFAST_DELIVERY_DAYS:
        return
    ended = WebhookDelivery.objects.exclude(state=PENDING).order_by("created_at")
    old = ended.filter(created_at__lt=timezone.now() - timedelta(days=settings.HOLDFAST_DELIVERY_DAYS))
    while found := list(old.values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE]):
        WebhookDelivery.objects.filter(pk__in=found).delete()
