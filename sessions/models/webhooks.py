"""Webhook endpoints and what was delivered to them (spec advanced 15)."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_noop as _

from contract import ids

ENABLED, DISABLED = "enabled", "disabled"
PENDING, DELIVERED, FAILED, DROPPED = "pending", "delivered", "failed", "dropped"
STATES = [(state, state.capitalize()) for state in (ENABLED, DISABLED)]
OUTCOMES = [(PENDING, _("Pending")), (DELIVERED, _("Delivered")), (FAILED, _("Failed")), (DROPPED, _("Dropped"))]


class WebhookEndpoint(models.Model):
    """An address that is told what happens in a workspace.

    ``organization`` marks those made by the organization's API, which knows five event types only. The secret is
    sealed (``credentials.crypto``). ``failing_since`` is when deliveries began to fail without one that worked since.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.webhook_endpoint_id, editable=False)
    workspace = models.ForeignKey("agents.Workspace", models.CASCADE, related_name="webhook_endpoints")
    organization = models.BooleanField(default=False)
    url = models.TextField()
    name = models.CharField(max_length=256, blank=True, default="")
    description = models.TextField(blank=True, default="")
    enabled_events = models.JSONField()
    state = models.CharField(max_length=16, choices=STATES, default=ENABLED)
    disabled_reason = models.CharField(max_length=256, blank=True, default="")
    sealed_secret = models.BinaryField(default=b"", editable=False)
    failing_since = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True)
    dropped = models.PositiveIntegerField(default=0)  # events that found the queue full
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = [models.Index(fields=["workspace", "state"], name="webhook_endpoint_told")]

    def __str__(self) -> str:
        return self.name or self.url


class WebhookDelivery(models.Model):
    """One event for one endpoint: at most three attempts, each listed in ``log``.

    ``body`` is sent byte for byte at every attempt; ``log`` holds {"at", "status", "error", "seconds"}.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.webhook_delivery_id, editable=False)
    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE, related_name="deliveries")
    event_id = models.CharField(max_length=40)
    event_type = models.CharField(max_length=64)
    body = models.TextField()
    state = models.CharField(max_length=16, choices=OUTCOMES, default=PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    log = models.JSONField(default=list)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)  # a worker is sending it
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        ordering = ("-created_at", "-id")
        indexes = [
            models.Index(fields=["endpoint", "-created_at", "-id"], name="webhook_delivery_list"),
            models.Index(
                fields=["endpoint", "next_attempt_at"],
                name="webhook_delivery_due",
                condition=models.Q(state="pending"),
            ),
            models.Index(fields=["created_at"], name="webhook_delivery_age"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.event_id}"
