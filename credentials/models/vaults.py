"""Vaults and what lies in them, and the record of every use (spec advanced 1)."""

from __future__ import annotations

from typing import Any

from django.db import models

from contract import ids


class Vault(models.Model):
    """A bag of credentials, normally one for each end user. Sessions name vaults, agents never do."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.vault_id, editable=False)
    workspace = models.ForeignKey("agents.Workspace", models.PROTECT, related_name="vaults")
    display_name = models.CharField(max_length=255)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = [models.Index(fields=["workspace", "-created_at", "-id"], name="vault_list")]

    def __str__(self) -> str:
        return self.display_name


class Credential(models.Model):
    """One credential. ``auth`` is what the API shows of it; ``sealed`` holds its secrets, a JSON object.

    ``slot`` digests what the credential is for, a server or a variable (``credentials.matching``): among the
    active credentials of a vault it is unique. ``sealed`` is bound to the id and empty once archived.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.credential_id, editable=False)
    vault = models.ForeignKey(Vault, models.CASCADE, related_name="credentials")
    display_name = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001  null and "" differ on the wire
    auth = models.JSONField()
    slot = models.CharField(max_length=64, editable=False)
    sealed = models.BinaryField(default=b"", editable=False)
    scope = models.JSONField(default=dict, blank=True)  # credentials.scopes
    metadata = models.JSONField(default=dict, blank=True)
    refused_at = models.DateTimeField(null=True, blank=True)  # since when its token endpoint won't renew it
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = [
            models.UniqueConstraint(
                fields=["vault", "slot"], condition=models.Q(archived_at=None), name="one_active_credential_per_slot"
            )
        ]
        indexes = [models.Index(fields=["vault", "-created_at", "-id"], name="credential_list")]

    def __str__(self) -> str:
        return self.display_name or self.pk


class AccessRecord(models.Model):
    """One use of a secret: who, for what, towards which host, when. Only ever added to; holds no value.

    Ids are plain text, so that the record outlives what it names. ``event_id`` is the log's entry of the use, where
    there is one; ``rule`` says what permitted it.
    """

    workspace = models.ForeignKey("agents.Workspace", models.CASCADE, related_name="+")
    vault_id = models.CharField(max_length=40)
    credential_id = models.CharField(max_length=40)
    by = models.CharField(max_length=300)
    session_id = models.CharField(max_length=40, blank=True, default="")
    purpose = models.CharField(max_length=64)
    tool = models.CharField(max_length=128, blank=True, default="")
    host = models.CharField(max_length=255)
    method = models.CharField(max_length=16, blank=True, default="")
    rule = models.CharField(max_length=512, blank=True, default="")
    event_id = models.CharField(max_length=40, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = [
            models.UniqueConstraint(
                fields=["event_id", "credential_id"], condition=~models.Q(event_id=""), name="one_record_per_use"
            )
        ]
        indexes = [
            models.Index(fields=["workspace", "-created_at"], name="access_list"),
            models.Index(fields=["credential_id", "-created_at"], name="access_by_credential"),
        ]

    def __str__(self) -> str:
        return f"{self.by}: {self.credential_id} to {self.host} ({self.purpose})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("The record of uses is only ever added to.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("The record of uses is only ever added to.")
