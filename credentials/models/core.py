"""What is secret. Nothing here ever holds a secret in plain text."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from contract import ids
from contract.roles import LABELS, Role

ROLE_CHOICES = [(role.value, LABELS[role]) for role in Role]


class ApiKey(models.Model):
    """A key for the API: bound to a workspace and a role, kept as a digest, shown once.

    ``hint`` is the last four characters, for telling keys apart.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.api_key_id, editable=False)
    workspace = models.ForeignKey("agents.Workspace", models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=256)
    role = models.CharField(max_length=16, choices=ROLE_CHOICES, default=Role.DEVELOPER.value)
    scopes = models.JSONField(default=list, blank=True)  # credentials.key_scopes; empty for everything the role may
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=8, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API key"
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.name} (…{self.hint})"


class ModelConnection(models.Model):
    """A workspace's own Messages API server; without one the installation's settings apply.

    The key is sealed (``credentials.crypto``); ``hint`` is its last four characters.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.model_connection_id, editable=False)
    workspace = models.OneToOneField("agents.Workspace", models.CASCADE, related_name="model_connection")
    base_url = models.URLField(blank=True, default="", max_length=2048)
    sealed_key = models.BinaryField(default=b"", editable=False)
    hint = models.CharField(max_length=8, blank=True, default="", editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.base_url or "Anthropic"
