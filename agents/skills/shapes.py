"""Skills on the wire (spec advanced 5.4), and as clients of the beta header ``skills-2025-10-02`` know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contract.times import timestamp

if TYPE_CHECKING:
    from agents.models import Skill, SkillVersion

CUSTOM = "custom"


def skill_shape(skill: Skill) -> dict[str, Any]:
    return {
        "id": skill.pk,
        "type": "skill",
        "display_name": skill.display_name,
        "latest_version_id": skill.latest_id,
        "source": {"type": CUSTOM},
        "created_at": timestamp(skill.created_at),
        "updated_at": timestamp(skill.updated_at),
    }


def version_shape(version: SkillVersion) -> dict[str, Any]:
    return {
        "id": version.pk,
        "type": "skill_version",
        "skill_id": version.skill_id,
        "name": version.skill.name,
        "description": version.description,
        "created_at": timestamp(version.created_at),
    }


def legacy_skill_shape(skill: Skill) -> dict[str, Any]:
    """Versions go by their number; a skill may have none."""
    latest = skill.latest
    return {
        "id": skill.pk,
        "type": "skill",
        "display_title": skill.display_name,
        "latest_version": str(latest.number) if latest else None,
        "source": CUSTOM,
        "created_at": timestamp(skill.created_at),
        "updated_at": timestamp(skill.updated_at),
    }


def legacy_version_shape(version: SkillVersion) -> dict[str, Any]:
    return {**version_shape(version), "version": str(version.number), "directory": version.skill.name}
