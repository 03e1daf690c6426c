"""Filters of the list of sessions that somebody kept under a name."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from contract import ids


class SavedView(models.Model):
    """A person's own, or an API key's. ``filters`` holds what ``sessions.listing`` understands, by name."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.view_id, editable=False)
    workspace = models.ForeignKey("agents.Workspace", models.CASCADE, related_name="saved_views")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="saved_views"
    )
    api_key_id = models.CharField(max_length=40, blank=True, default="")
    name = models.CharField(max_length=80)
    filters = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("name", "id")
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "user", "api_key_id", "name"], name="one_view_per_name", nulls_distinct=False
            ),
        ]

    def __str__(self) -> str:
        return self.name
