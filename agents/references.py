"""What an agent names besides other agents: skills (spec core 5.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.models import Skill
from agents.skills.actions import BUILT_IN, LATEST, find_version
from contract.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from contract.acting import Acting

MAX_SKILLS = 20
MAX_VERSION = 64


def skills(entries: Sequence[Mapping[str, Any]] | None, acting: Acting) -> list[dict[str, Any]]:
    """The skills array with every version resolved; null and [] both clear.

    Raises ``NotFound`` for a custom skill or version that isn't in the workspace.
    """
    entries = entries or ()
    if len(entries) > MAX_SKILLS:
        raise InvalidRequest(f"skills: at most {MAX_SKILLS} skills are allowed")
    ids = [entry["skill_id"] for entry in entries]
    if len(set(ids)) < len(ids):
        raise InvalidRequest("skills: names a skill more than once")
    custom = {entry["skill_id"] for entry in entries if entry["type"] == "custom"}
    rows = Skill.objects.filter(pk__in=custom, workspace_id=acting.workspace_id).exclude(latest=None)
    found = {skill.pk: skill for skill in rows} if custom else {}
    return [_skill(f"skills.{index}", entry, found) for index, entry in enumerate(entries)]


def _skill(where: str, entry: Mapping[str, Any], found: Mapping[str, Skill]) -> dict[str, Any]:
    version = entry.get("version") or LATEST
    if len(version) > MAX_VERSION:
        raise InvalidRequest(f"{where}.version: must be at most {MAX_VERSION} characters long")
    if entry["type"] == "anthropic":
        if entry["skill_id"] not in BUILT_IN:
            raise InvalidRequest(f"{where}.skill_id: Anthropic's skills are {', '.join(sorted(BUILT_IN))}")
        return {"type": "anthropic", "skill_id": entry["skill_id"], "version": version}
    skill = found.get(entry["skill_id"])
    if skill is None:
        raise NotFound(f"{where}.skill_id: there is no skill {entry['skill_id']} in this workspace")
    return {"type": "custom", "skill_id": skill.pk, "version": _resolved(where, skill, version)}


def _resolved(where: str, skill: Skill, version: str) -> str | None:
    if version == LATEST:
        return skill.latest_id
    try:
        return find_version(skill, version).pk
    except NotFound:
        raise NotFound(f"{where}.version: there is no version {version} of skill {skill.pk}") from None
