"""User profiles: whom an integrator serves through the API (spec advanced 19)."""

from __future__ import annotations

from django.db import models

from agents.models.core import Workspace
from contract import ids

ACCESS_CHOICES = [("application", "Application"), ("passthrough", "Passthrough")]


class UserProfile(models.Model):
    """A person or company behind an integrator's requests, as the integrator describes it.

    ``details`` holds the wire ``external_user_details`` that were given. ``name_key`` is the name in the form
    it is sorted by: ASCII letters lowered, compared by bytes, null without a name.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.user_profile_id, editable=False)
    workspace = models.ForeignKey(Workspace, models.PROTECT, related_name="user_profiles")
    name = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001  the wire has null
    name_key = models.CharField(max_length=255, null=True, editable=False, db_collation="C")  # noqa: DJ001
    access_type = models.CharField(max_length=16, choices=ACCESS_CHOICES, default="application")
    details = models.JSONField(default=dict, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = [
            models.Index(fields=["workspace", "-created_at", "-id"], name="user_profile_list"),
            models.Index(fields=["workspace", "name_key", "id"], name="user_profile_by_name"),
        ]

    def __str__(self) -> str:
        return self.name or self.pk
