"""Webhook endpoints and deliveries as the API shows them (spec advanced 15.3)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from contract.times import timestamp, timestamp_or_none

if TYPE_CHECKING:
    from sessions.models import WebhookDelivery, WebhookEndpoint


def endpoint_shape(endpoint: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": endpoint.pk,
        "url": endpoint.url,
        "name": endpoint.name,
        "description": endpoint.description,
        "enabled_events": endpoint.enabled_events,
        "state": endpoint.state,
        "disabled_reason": endpoint.disabled_reason,
        "created_at": timestamp(endpoint.created_at),
        "updated_at": timestamp(endpoint.updated_at),
    }


def delivery_shape(delivery: WebhookDelivery) -> dict[str, Any]:
    return {
        "id": delivery.pk,
        "type": "webhook_delivery",
        "endpoint_id": delivery.endpoint_id,
        "event": json.loads(delivery.body),
        "state": delivery.state,
        "attempts": delivery.log,
        "next_attempt_at": timestamp_or_none(delivery.next_attempt_at),
        "created_at": timestamp(delivery.created_at),
        "finished_at": timestamp_or_none(delivery.finished_at),
    }
