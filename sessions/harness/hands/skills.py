"""Skills in a sandbox (spec advanced 5.2): each a read-only directory below ``/workspace/skills``.

A session shows the skills of all its agents. Two skills of one name are told apart by a number.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from agents import rosters
from agents.models import SkillVersion
from agents.sandboxes.base import SKILLS, Upload
from agents.skills.actions import BUILT_IN
from contract import blobs
from contract.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sessions.models import Session

MAX_SKILLS = 500
BUILT_IN_REFUSED = BUILT_IN  # no part of Holdfast


@dataclass(frozen=True, slots=True)
class Mounted:
    """A skill version in the sandbox of a session; ``name`` is its directory."""

    version_id: str
    name: str
    description: str
    slug: str
    digest: str
    files: list[dict[str, Any]]

    @property
    def path(self) -> str:
        return f"{SKILLS}/{self.name}"


def references(snapshot: Mapping[str, Any]) -> list[str]:
    """The ids of the skill versions that the agents of a session name, each once, in the order of the agents."""
    members = [snapshot, *rosters.entries(snapshot.get("multiagent"))]
    named = [skill["version"] for agent in members for skill in agent.get("skills") or () if skill["type"] == "custom"]
    return list(dict.fromkeys(named))


def check(snapshot: Mapping[str, Any]) -> None:
    """Refuse what a session can't show: Anthropic's own skills, and more than 500."""
    for agent in (snapshot, *rosters.entries(snapshot.get("multiagent"))):
        for skill in agent.get("skills") or ():
            if skill["type"] == "anthropic" and skill["skill_id"] in BUILT_IN_REFUSED:
                raise InvalidRequest(
                    f"agent.skills: {skill['skill_id']} is one of Anthropic's own skills, which are no part of "
                    "Holdfast; upload a skill of your own instead"
                )
    if len(references(snapshot)) > MAX_SKILLS:
        raise InvalidRequest(f"agent.skills: the agents of a session may have at most {MAX_SKILLS} skills in all")


def mounted(snapshot: Mapping[str, Any]) -> dict[str, Mounted]:
    """The skills of a session by version id; a version that was deleted since is left out. One query if any."""
    wanted = references(snapshot)
    if not wanted:
        return {}
    rows = {row.pk: row for row in SkillVersion.objects.filter(pk__in=wanted).select_related("skill")}
    found: dict[str, Mounted] = {}
    taken: set[str] = set()
    for version_id in wanted:
        row = rows.get(version_id)
        if row is not None:
            name = _free(row.skill.name, taken)
            taken.add(name)
            found[version_id] = Mounted(row.pk, name, row.description, row.skill.name, row.digest, row.files)
    return found


def _free(slug: str, taken: set[str]) -> str:
    name, number = slug, 1
    while name in taken:
        number += 1
        name = f"{slug}-{number}"
    return name


def uploads(session: Session) -> Iterator[Upload]:
    """Every file of every skill of a session."""
    for skill in mounted(session.agent_snapshot).values():
        for file in skill.files:
            path = f"{skill.path}/{file['path']}"
            yield Upload(path, file["size"], partial(_open, skill, file["path"]), executable=file["executable"])


def _open(skill: Mounted, path: str) -> BinaryIO:
    with blobs.open(skill.digest) as stream, zipfile.ZipFile(stream) as archive:
        return io.BytesIO(archive.read(f"{skill.slug}/{path}"))
