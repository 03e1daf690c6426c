"""Deployments, which start sessions by themselves, and the record of each start (spec advanced 13)."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from contract import ids


class Deployment(models.Model):
    """An agent version with all that its sessions need, and perhaps a schedule.

    ``environment_id`` is no foreign key: an environment may be deleted under a deployment, whose next run says so.
    ``next_run_at`` is the cron time that comes next, ``fire_at`` that time plus the schedule's own ``jitter_seconds``;
    both are null while nothing is to fire.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.deployment_id, editable=False)
    workspace = models.ForeignKey("agents.Workspace", models.PROTECT, related_name="deployments")
    name = models.CharField(max_length=256)
    description = models.TextField(null=True, blank=True)  # noqa: DJ001  null and "" differ on the wire
    agent = models.ForeignKey("agents.Agent", models.PROTECT, related_name="deployments")
    agent_version = models.PositiveIntegerField()
    environment_id = models.CharField(max_length=40)
    initial_events = models.JSONField()
    resources = models.JSONField(default=list, blank=True)  # as sent, without tokens
    sealed_tokens = models.BinaryField(default=b"", editable=False)  # JSON: place in ``resources`` -> token
    vault_ids = models.JSONField(default=list, blank=True)
    budget = models.JSONField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    expression = models.CharField(max_length=256, blank=True, default="")  # "" without a schedule
    time_zone = models.CharField(max_length=64, blank=True, default="")
    jitter_seconds = models.FloatField(default=0)
    next_run_at = models.DateTimeField(null=True, blank=True)
    fire_at = models.DateTimeField(null=True, blank=True)
    last_run_at = models.DateTimeField(null=True, blank=True)  # of scheduled runs
    paused_reason = models.JSONField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = [
            models.Index(fields=["workspace", "-created_at", "-id"], name="deployment_list"),
            models.Index(fields=["fire_at"], name="deployment_due", condition=models.Q(fire_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def status(self) -> str:
        """``paused`` or ``active``, which archived deployments are too."""
        return "paused" if self.paused_reason else "active"


class DeploymentRun(models.Model):
    """One start, or the reason why there was none; never changed. ``scheduled_at`` is null for manual runs.

    A second row for the same due time can't exist: that is what makes a schedule fire once.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.deployment_run_id, editable=False)
    deployment = models.ForeignKey(Deployment, models.CASCADE, related_name="runs")
    agent_version = models.PositiveIntegerField()
    scheduled_at = models.DateTimeField(null=True, blank=True)
    session_id = models.CharField(max_length=40, blank=True, default="")  # stays when the session is deleted
    error = models.JSONField(null=True, blank=True)  # {"type", "message"}
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = [
            models.UniqueConstraint(fields=["deployment", "scheduled_at"], name="one_run_per_due_time"),
        ]
        indexes = [models.Index(fields=["deployment", "-created_at", "-id"], name="deployment_run_list")]

    def __str__(self) -> str:
        return self.id
