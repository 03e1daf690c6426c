"""Dreams: sessions that put a memory store in order by what past sessions tell (spec advanced 14)."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from contract import ids

STATUSES = ("pending", "running", "completed", "failed", "canceled")
STATUS_CHOICES = [(status, status.capitalize()) for status in STATUSES]
OPEN = ("pending", "running")


class Dream(models.Model):
    """One dream. What it reads are no foreign keys: a store or session may be deleted under it, which ends it.

    ``stopped`` is set once nothing of it runs any more, which may be a moment after its status became final; only
    then another dream may hold the same store. ``usage`` is the session's, taken over when it stopped.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.dream_id, editable=False)
    workspace = models.ForeignKey("agents.Workspace", models.PROTECT, related_name="dreams")
    status = models.CharField(max_length=16, choices=STATUS_CHOICES, default="pending")
    store_id = models.CharField(max_length=40)
    session_ids = models.JSONField()  # sorted
    model = models.JSONField()  # the wire ``model``
    instructions = models.TextField(null=True, blank=True)  # noqa: DJ001  null on the wire
    output_behavior = models.JSONField()
    output_store_id = models.CharField(max_length=40, blank=True, default="")
    session = models.ForeignKey("agent_sessions.Session", models.SET_NULL, null=True, blank=True, related_name="dreams")
    usage = models.JSONField(default=dict, blank=True)  # sessions.projections.columns.Usage
    error = models.JSONField(null=True, blank=True)  # {"type", "message"}
    stopped = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_by_key = models.CharField(max_length=40, blank=True, default="")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = [
            models.Index(fields=["workspace", "-created_at", "-id"], name="dream_list"),
            models.Index(fields=["created_at"], name="dream_open", condition=models.Q(stopped=False)),
        ]

    def __str__(self) -> str:
        return self.id

    @property
    def updates_existing(self) -> bool:
        """Whether it writes into the store that it reads."""
        return bool(self.output_behavior["type"] == "update_existing")


class DreamKit(models.Model):
    """What a workspace's dreams run with: an agent and an environment of their own, archived, so that neither is
    offered for other sessions or changed by hand.
    """

    workspace = models.OneToOneField("agents.Workspace", models.CASCADE, primary_key=True, related_name="dream_kit")
    agent = models.ForeignKey("agents.Agent", models.PROTECT, related_name="+")
    environment = models.ForeignKey("agents.Environment", models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return f"Dreams of {self.workspace_id}"
