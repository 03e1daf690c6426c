"""Skills (spec advanced 5.4): folders of instructions and files, in immutable versions."""

from __future__ import annotations

from django.db import models

from agents.models.core import Workspace
from contract import ids


class Skill(models.Model):
    """A custom skill. ``name`` is its immutable slug; ``latest`` is null once every version is deleted."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.skill_id, editable=False)
    workspace = models.ForeignKey(Workspace, models.PROTECT, related_name="skills")
    name = models.CharField(max_length=64)
    display_name = models.CharField(max_length=255)
    latest = models.OneToOneField("SkillVersion", models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = [models.Index(fields=["workspace", "-created_at", "-id"], name="skill_list")]

    def __str__(self) -> str:
        return self.name


class SkillVersion(models.Model):
    """One immutable upload. ``number`` is its time in microseconds of the Unix epoch, how older clients name it.

    ``digest`` is the blob of the zip, whose top directory is the skill's name; ``files`` lists what it holds:
    ``{"path", "size", "executable"}``, paths below that directory, sizes in bytes.
    """

    id = models.CharField(primary_key=True, max_length=40, default=ids.skill_version_id, editable=False)
    skill = models.ForeignKey(Skill, models.CASCADE, related_name="versions")
    number = models.BigIntegerField()
    description = models.TextField()
    digest = models.CharField(max_length=64, db_index=True)
    files = models.JSONField()
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("-number",)
        constraints = [models.UniqueConstraint(fields=["skill", "number"], name="skill_version_number")]

    def __str__(self) -> str:
        return f"{self.skill_id} {self.number}"
