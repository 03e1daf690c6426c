"""Memory stores: text documents at paths, with the whole history of each (spec advanced 6)."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_noop as _

from agents.models.core import Workspace
from contract import ids

OPERATIONS = ("created", "modified", "deleted")
OPERATION_CHOICES = list(zip(OPERATIONS, (_("Created"), _("Modified"), _("Deleted")), strict=True))
ACTORS = ("api", "session", "user", "service_account")
ACTOR_CHOICES = [(actor, actor.replace("_", " ").capitalize()) for actor in ACTORS]


class MemoryStore(models.Model):
    """A named container of memories. Every write to one store happens under its row's lock."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.memory_store_id, editable=False)
    workspace = models.ForeignKey(Workspace, models.PROTECT, related_name="memory_stores")
    name = models.CharField(max_length=255)
    description = models.TextField(blank=True, default="")
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()  # of the store's own fields; memories have theirs
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = [models.Index(fields=["workspace", "-created_at", "-id"], name="memory_store_list")]

    def __str__(self) -> str:
        return self.name


class MemoryVersion(models.Model):
    """One change of a memory; only redaction changes it afterwards.

    It outlives its memory, so ``memory_id`` is no foreign key. ``content``, ``content_sha256`` and
    ``content_size_bytes`` are null when the change was a deletion, and with ``path`` when it was redacted.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.memory_version_id, editable=False)
    store = models.ForeignKey(MemoryStore, models.CASCADE, related_name="versions", db_index=False)
    memory_id = models.CharField(max_length=40, editable=False)
    operation = models.CharField(max_length=16, choices=OPERATION_CHOICES)
    path = models.CharField(max_length=1024, null=True, blank=True)  # noqa: DJ001  null means redacted
    content = models.TextField(null=True, blank=True)  # noqa: DJ001  null and "" differ
    content_sha256 = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001
    content_size_bytes = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    author_kind = models.CharField(max_length=16, choices=ACTOR_CHOICES, blank=True, default="")
    author_id = models.CharField(max_length=128, blank=True, default="")
    redacted_at = models.DateTimeField(null=True, blank=True)
    redactor_kind = models.CharField(max_length=16, choices=ACTOR_CHOICES, blank=True, default="")
    redactor_id = models.CharField(max_length=128, blank=True, default="")

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = [
            models.Index(fields=["store", "-created_at", "-id"], name="memory_version_list"),
            models.Index(fields=["store", "memory_id", "-created_at", "-id"], name="memory_version_of_memory"),
            models.Index(fields=["store", "author_kind", "author_id", "-created_at"], name="memory_version_by_author"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.path or self.memory_id}"


class Memory(models.Model):
    """A text document at a path. Its content is that of ``head``, its newest version.

    Paths sort and compare by their bytes, whatever the database's own language is. The database keeps ``head``
    from dangling; Django is not asked to, so that a store with all its versions goes in a few statements.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.memory_id, editable=False)
    store = models.ForeignKey(MemoryStore, models.CASCADE, related_name="memories", db_index=False)
    path = models.CharField(max_length=1024, db_collation="C")
    head = models.OneToOneField(MemoryVersion, models.DO_NOTHING, related_name="head_of")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ("path",)
        verbose_name_plural = "memories"
        constraints = [models.UniqueConstraint(fields=["store", "path"], name="memory_path_in_store")]

    def __str__(self) -> str:
        return self.path
