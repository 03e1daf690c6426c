"""What changes skills (spec advanced 5.4). Versions name a stored archive; nothing is written before all is checked."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from django.db import transaction
from django.utils import timezone

from agents.models import Skill, SkillVersion
from agents.skills import bundle
from contract import audit, blobs
from contract.errors import InvalidRequest, NotFound
from contract.roles import Permission

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents.skills.bundle import Bundle, Part
    from contract.acting import Acting

BUILT_IN = frozenset({"xlsx", "docx", "pptx", "pdf"})
LATEST = "latest"
MAX_DISPLAY_NAME = 255
MAX_ARCHIVE = 64 * 1024 * 1024  # never reached by a bundle that keeps its own limits
MAX_NUMBER_DIGITS = 18
MILLION = 1_000_000


def find_skill(skill_id: str, acting: Acting, *, empty: bool = False) -> Skill:
    """A skill of the caller's workspace; with ``empty`` also one whose versions are all deleted."""
    rows = Skill.objects.filter(pk=skill_id, workspace_id=acting.workspace_id)
    row = rows.first() if empty else rows.exclude(latest=None).first()
    if row is not None:
        return row
    if skill_id in BUILT_IN:
        raise NotFound(
            f"The skill {skill_id} is one of Anthropic's own, which are no part of Holdfast; upload your own instead."
        )
    raise NotFound(f"There is no skill {skill_id} in this workspace.")


def find_version(skill: Skill, reference: str) -> SkillVersion:
    """A version by its id, by its number (how older clients name it), or ``latest``."""
    rows = SkillVersion.objects.filter(skill=skill).select_related("skill")
    if reference == LATEST:
        row = rows.filter(pk=skill.latest_id).first()
    elif reference.isascii() and reference.isdigit():
        row = rows.filter(number=int(reference)).first() if len(reference) <= MAX_NUMBER_DIGITS else None
    else:
        row = rows.filter(pk=reference).first()
    if row is None:
        raise NotFound(f"There is no version {reference} of skill {skill.pk}.")
    return row


@audit.logged("skill.created", "agents.Skill")
def create_skill(parts: Sequence[Part], display_name: str | None, acting: Acting) -> Skill:
    """A new skill and its first version."""
    acting.require(Permission.BUILD)
    if display_name is not None and len(display_name) > MAX_DISPLAY_NAME:
        raise InvalidRequest(f"display_name: must be at most {MAX_DISPLAY_NAME} characters long")
    found = bundle.read(parts)
    digest = _stored(found)
    now = timezone.now()
    with transaction.atomic():
        skill = Skill.objects.create(
            workspace_id=acting.workspace_id,
            name=found.name,
            display_name=(display_name or "").strip() or found.name,
            created_at=now,
            updated_at=now,
        )
        return _add(skill, found, digest).skill


@audit.logged("skill.version_created", "agents.SkillVersion")
def create_version(skill_id: str, parts: Sequence[Part], acting: Acting) -> SkillVersion:
    """The next version: a whole snapshot under the skill's own name."""
    acting.require(Permission.BUILD)
    skill = find_skill(skill_id, acting, empty=True)
    found = bundle.read(parts)
    if found.name != skill.name:
        raise InvalidRequest(f"SKILL.md: name must stay {skill.name}, the name of this skill; it is {found.name}")
    digest = _stored(found)
    with transaction.atomic():
        return _add(_lock(skill_id, acting), found, digest)


@audit.logged("skill.deleted", "agents.Skill", "skill_id")
def delete_skill(skill_id: str, acting: Acting) -> None:
    """Delete a skill with every version; agents that name it can start no session any more."""
    acting.require(Permission.BUILD)
    with transaction.atomic():
        _lock(skill_id, acting).delete()


@audit.logged("skill.version_deleted", "agents.Skill", "skill_id", always=True)
def delete_version(skill_id: str, reference: str, acting: Acting, *, may_empty: bool = False) -> SkillVersion:
    """Delete one version. The last one goes only with its skill, unless ``may_empty``."""
    acting.require(Permission.BUILD)
    with transaction.atomic():
        skill = _lock(skill_id, acting)
        if reference == LATEST:
            raise InvalidRequest("version: must be a version's id; latest can't be deleted by that name")
        version = find_version(skill, reference)
        newest_other = skill.versions.exclude(pk=version.pk).order_by("-number").first()
        if newest_other is None and not may_empty:
            raise InvalidRequest(f"Version {reference} is the only one of its skill; delete the skill instead.")
        if skill.latest_id == version.pk:
            skill.latest = newest_other
        skill.updated_at = timezone.now()
        skill.save(update_fields=["latest", "updated_at"])
        SkillVersion.objects.filter(pk=version.pk).delete()
    return version


def open_archive(version: SkillVersion) -> BinaryIO:
    """The zip of a version, everything below one directory named like the skill."""
    try:
        return blobs.open(version.digest)
    except FileNotFoundError:
        raise NotFound(f"The files of version {version.pk} are gone.") from None


def _stored(found: Bundle) -> str:
    digest, _ = blobs.put(io.BytesIO(found.packed()), MAX_ARCHIVE)
    return digest


def _lock(skill_id: str, acting: Acting) -> Skill:
    row = Skill.objects.select_for_update().filter(pk=skill_id, workspace_id=acting.workspace_id).first()
    return row or find_skill(skill_id, acting)


def _add(skill: Skill, found: Bundle, digest: str) -> SkillVersion:
    """A new version of a locked or new skill, its latest from now on."""
    now = timezone.now()
    last = skill.versions.order_by("-number").values_list("number", flat=True).first() or 0
    version = SkillVersion.objects.create(
        skill=skill,
        number=max(int(now.timestamp() * MILLION), last + 1),
        description=found.description,
        digest=digest,
        files=[
            {"path": one.path, "size": len(one.data), "executable": one.executable}
            for one in sorted(found.members, key=lambda member: member.path)
        ],
        created_at=now,
    )
    skill.latest, skill.updated_at = version, now
    skill.save(update_fields=["latest", "updated_at"])
    return version
