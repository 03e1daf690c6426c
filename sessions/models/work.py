"""The work queue of self_hosted environments, and the keys of their workers (spec advanced 16)."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_noop as _

from contract import ids

QUEUED, STARTING, ACTIVE, STOPPING, STOPPED = "queued", "starting", "active", "stopping", "stopped"
STATES = [
    (QUEUED, _("Queued")),
    (STARTING, _("Starting")),
    (ACTIVE, _("Active")),
    (STOPPING, _("Stopping")),
    (STOPPED, _("Stopped")),
]


class EnvironmentKey(models.Model):
    """A key for the workers of one environment: kept as a digest, shown once."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.environment_key_id, editable=False)
    environment = models.ForeignKey("agents.Environment", models.CASCADE, related_name="worker_keys")
    name = models.CharField(max_length=256)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=8, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return f"{self.name} (…{self.hint})"


class Work(models.Model):
    """A session that waits for, or has, a worker. At most one that isn't stopped exists for a session.

    ``latest_heartbeat`` is the text that the worker must echo. ``token_digest`` is that of the sessions token handed
    out with the last claim; a new claim ends the one before. ``attempt`` counts items that ended with calls open.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.work_id, editable=False)
    environment = models.ForeignKey("agents.Environment", models.CASCADE, related_name="work")
    session = models.ForeignKey("agent_sessions.Session", models.CASCADE, related_name="work")
    state = models.CharField(max_length=16, choices=STATES, default=QUEUED)
    metadata = models.JSONField(default=dict, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    available_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=256, blank=True, default="")
    token_digest = models.CharField(max_length=64, blank=True, default="", db_index=True, editable=False)
    latest_heartbeat = models.CharField(max_length=40, blank=True, default="")
    ttl_seconds = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "work item"
        verbose_name_plural = "work items"
        ordering = ("-created_at", "-id")
        constraints = [
            models.UniqueConstraint(fields=["session"], condition=~models.Q(state=STOPPED), name="one_live_work_item")
        ]
        indexes = [
            models.Index(fields=["environment", "created_at"], name="work_queue", condition=models.Q(state=QUEUED)),
            models.Index(fields=["stopped_at"], name="work_ended", condition=models.Q(state=STOPPED)),
            models.Index(fields=["lease_until"], name="work_lease", condition=models.Q(lease_until__isnull=False)),
            models.Index(fields=["environment", "-created_at", "-id"], name="work_list"),
        ]

    def __str__(self) -> str:
        return self.id


class WorkerSeen(models.Model):
    """When a worker last asked an environment for work."""

    environment = models.ForeignKey("agents.Environment", models.CASCADE, related_name="workers_seen")
    worker = models.CharField(max_length=256)
    polled_at = models.DateTimeField()

    class Meta:
        verbose_name = "outside worker"
        verbose_name_plural = "outside workers"
        constraints = [models.UniqueConstraint(fields=["environment", "worker"], name="one_row_per_worker")]

    def __str__(self) -> str:
        return self.worker
