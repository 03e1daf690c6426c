"""Workflow runs of sessions (spec advanced 10)."""

from __future__ import annotations

from django.db import models

from contract import ids
from credentials.at_rest import SealableJSON
from sessions.models.core import Session

RUN_STATUSES = [("running", "Running"), ("idle", "Idle"), ("ended", "Ended")]


class WorkflowRun(models.Model):
    """A run of a plan. Its agents are threads; what they returned is on the log, and so are phases and the end.

    ``call`` is the agent's call as it was given, ``phase_ids`` the public ids of its phases in order.
    ``phase`` counts the phases that have ended; ``phase_start`` is the event that began the one under way.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.workflow_run_id, editable=False)
    session = models.ForeignKey(Session, models.CASCADE, related_name="workflow_runs")
    call = SealableJSON()
    phase_ids = models.JSONField()
    phase = models.PositiveIntegerField(default=0)
    phase_start = models.CharField(max_length=40, blank=True, default="")
    status = models.CharField(max_length=8, choices=RUN_STATUSES, default="running")
    created_at = models.DateTimeField()
    driven_at = models.DateTimeField()
    deadline = models.DateTimeField()

    class Meta:
        ordering = ("created_at", "id")
        indexes = [
            models.Index(fields=["driven_at"], name="workflow_run_open", condition=~models.Q(status="ended")),
            models.Index(fields=["session", "status"], name="workflow_run_of_session"),
        ]

    def __str__(self) -> str:
        return self.id
