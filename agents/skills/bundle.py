"""What an upload says a skill is: its files below one directory, its name and its description."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from agents.skills import archive, frontmatter, paths
from agents.skills.archive import Member
from contract.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT = b"#!"


@dataclass(frozen=True, slots=True)
class Part:
    """One file part of a multipart body, with its name as sent, directories and all."""

    filename: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """A skill that keeps every rule; the paths of ``members`` begin at its root."""

    name: str
    description: str
    members: tuple[Member, ...]

    @property
    def size(self) -> int:
        """Uncompressed, in bytes."""
        return sum(len(member.data) for member in self.members)

    def packed(self) -> bytes:
        return archive.pack(self.name, self.members)


def read(parts: Sequence[Part]) -> Bundle:
    """One zip archive, or the files one by one. Raises ``InvalidRequest`` that names the cause."""
    if not parts:
        raise InvalidRequest("files: Field required, as file parts of a multipart/form-data body")
    members = _members(parts)
    if len(members) > archive.MAX_FILES:
        raise InvalidRequest(archive.TOO_MANY)
    if sum(len(member.data) for member in members) > archive.MAX_BYTES:
        raise InvalidRequest(archive.TOO_LARGE)
    paths.check_apart(member.path for member in members)
    root = paths.root_of([member.path for member in members], frontmatter.FILE)
    rooted = [replace(member, path=member.path.removeprefix(f"{root}/")) for member in members]
    head = next(member.data for member in rooted if member.path == frontmatter.FILE)
    found = frontmatter.parse(head, directory=root)
    return Bundle(found.name, found.description, tuple(rooted))


def _members(parts: Sequence[Part]) -> list[Member]:
    """A single part that isn't ``SKILL.md`` itself must be an archive. Parts have no mode: scripts that name
    their interpreter may be run.
    """
    if len(parts) == 1 and PurePosixPath(parts[0].filename).name != frontmatter.FILE:
        if not parts[0].data.startswith(archive.MAGIC):
            raise InvalidRequest(archive.UNREADABLE)
        return archive.unpack(parts[0].data)
    named = [(paths.checked(part.filename), part.data) for part in parts]
    return [Member(path, data, data.startswith(SCRIPT)) for path, data in named if not paths.is_litter(path)]
