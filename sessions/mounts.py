"""Where uploads appear in a sandbox (spec core 9.1). Pure."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from contract.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

UPLOADS = PurePosixPath("/mnt/session/uploads")
MAX_LENGTH = 1024


def checked(where: str, mount_path: str | None, file_id: str) -> str:
    """The mount path as sent, or the default; ``InvalidRequest`` if it can't be one."""
    if mount_path is None:
        return str(UPLOADS / file_id)
    if not mount_path.startswith("/") or mount_path.endswith("/"):
        raise InvalidRequest(f"{where}: must be an absolute path of a file, such as /data.csv")
    if len(mount_path) > MAX_LENGTH:
        raise InvalidRequest(f"{where}: must be at most {MAX_LENGTH} characters long")
    if {".", ".."} & set(mount_path.split("/")) or not mount_path.isprintable():
        raise InvalidRequest(f"{where}: must not contain . or .. steps or control characters")
    if in_sandbox(mount_path) == str(UPLOADS):
        raise InvalidRequest(f"{where}: must name a file, not the uploads directory")
    return mount_path


def in_sandbox(mount_path: str) -> str:
    """The path inside the sandbox: rooted in the uploads directory unless it lies there already."""
    path = PurePosixPath("/" + mount_path.lstrip("/"))
    return str(path if path.is_relative_to(UPLOADS) else UPLOADS / path.relative_to("/"))


def check_apart(where: str, mount_path: str, taken: Iterable[str]) -> None:
    """Two mounts may be neither the same file nor one inside the other."""
    path = PurePosixPath(in_sandbox(mount_path))
    for other in (PurePosixPath(in_sandbox(one)) for one in taken):
        if path.is_relative_to(other) or other.is_relative_to(path):
            raise InvalidRequest(f"{where}: {mount_path} collides with another mount of this session")
