"""What of a box is shown inside its sandbox, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.sandboxes.base import MEMORY, OUTPUTS, SKILLS, UPLOADS, WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agents.sandboxes.boxes.layout import Box

HOME = "/home/sandbox"
RUN = "/run/holdfast"
RUNNER = "/opt/holdfast"
TEMPORARY, SHARED_MEMORY = "/tmp", "/dev/shm"  # noqa: S108 - names inside the sandbox


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory or file of this machine at a place inside. ``over``: together with what is there already."""

    source: Path
    target: str
    writable: bool = False
    over: bool = False


def of_session(box: Box) -> Iterator[Mount]:
    """The session's own places, outer ones before those below them."""
    yield Mount(box.files / "workspace", WORKSPACE, writable=True)
    yield Mount(box.files / "home", HOME, writable=True)
    yield Mount(box.files / "tmp", TEMPORARY, writable=True)
    yield Mount(box.outputs, OUTPUTS, writable=True)
    yield Mount(box.uploads, UPLOADS)
    if box.has_skills:
        yield Mount(box.skills, SKILLS)
    for folder in box.folders:
        yield Mount(box.folder(folder), f"{MEMORY}/{folder.name}", writable=not folder.read_only)
