"""The audit log's rows. They are written and read, never changed: the database itself refuses that."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

# Rows can be added only; emptying the whole table stays with whoever owns the database.
GUARD = """
CREATE OR REPLACE FUNCTION credentials_audit_guard() RETURNS trigger AS $$
BEGIN RAISE EXCEPTION 'The audit log is append-only.'; END $$ LANGUAGE plpgsql;
CREATE OR REPLACE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON credentials_auditrecord
FOR EACH ROW EXECUTE FUNCTION credentials_audit_guard();
"""


class AuditRecord(models.Model):
    """Who did what to which object. ``before`` and ``after`` hold the values that differ, never a secret one.

    Ids are kept as text: a record outlives what it is about.
    """

    at = models.DateTimeField(auto_now_add=True)
    workspace_id = models.CharField(max_length=40, blank=True, default="")
    actor = models.CharField(max_length=300)
    user_id = models.BigIntegerField(null=True, blank=True)
    api_key_id = models.CharField(max_length=40, blank=True, default="")
    action = models.CharField(max_length=64)
    kind = models.CharField(max_length=64)
    object_id = models.CharField(max_length=64, blank=True, default="")
    before = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    after = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)

    class Meta:
        ordering = ("-id",)
        indexes: ClassVar = [
            models.Index(fields=["workspace_id", "-id"], name="audit_list"),
            models.Index(fields=["object_id", "-id"], name="audit_object"),
        ]

    def __str__(self) -> str:
        return f"{self.actor}: {self.action} {self.object_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("The audit log is append-only.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("The audit log is append-only.")
