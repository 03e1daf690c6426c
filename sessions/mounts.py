"""Where resources appear in a sandbox (spec core 9.1). Pure."""

from __future__ import annotations

import re
from itertools import count
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from contract.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

UPLOADS = PurePosixPath("/mnt/session/uploads")
WORKSPACE = PurePosixPath("/workspace")
MEMORY = PurePosixPath("/mnt/memory")
ROOTS = (WORKSPACE, MEMORY)
MAX_LENGTH = 1024
MAX_STEP_BYTES = 255
MAX_REPOSITORY_PATH = 4_096
MAX_URL = 2_048
MAX_BRANCH = 255
REPOSITORY = re.compile(
    r"https://(?P<host>[a-z0-9.-]+)(?P<port>:[0-9]{1,5})?/[A-Za-z0-9][A-Za-z0-9-]{0,38}/(?P<name>[A-Za-z0-9._-]{1,100})"
)
GITHUB = "github.com"
SHA = re.compile(r"[0-9a-fA-F]{7,64}")
NOT_IN_SLUG = re.compile(r"[^a-z0-9]+")


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
    _check_steps(where, mount_path)
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


def repository_name(where: str, url: str, hosts: Collection[str] = (GITHUB,)) -> str:
    """The name of the repository that a URL names: of GitHub, or of another of the operator's ``hosts``."""
    found = REPOSITORY.fullmatch(url)
    if (
        found is None
        or len(url) > MAX_URL
        or found["host"] not in hosts
        or (found["host"] == GITHUB and found["port"])
        or found["name"].endswith(".git")
        or set(found["name"]) == {"."}
    ):
        raise InvalidRequest(
            f"{where}: must be https://{' or '.join(hosts)}/<owner>/<repository>, without .git at the end"
        )
    return found["name"]


def repository_path(where: str, mount_path: str | None, name: str) -> str:
    """Where a repository is cloned to: the path as sent, or below the working directory under its own name."""
    if mount_path is None:
        return str(WORKSPACE / name)
    path = PurePosixPath(mount_path)
    if len(mount_path) > MAX_REPOSITORY_PATH or not mount_path.isprintable() or ".." in path.parts:
        raise InvalidRequest(f"{where}: must be at most {MAX_REPOSITORY_PATH} plain characters, without .. steps")
    if path == WORKSPACE or not path.is_relative_to(WORKSPACE):
        raise InvalidRequest(f"{where}: must be a directory below {WORKSPACE}")
    _check_steps(where, mount_path)
    return str(path)


def _check_steps(where: str, path: str) -> None:
    """File systems know names of so many bytes."""
    if any(len(step.encode()) > MAX_STEP_BYTES for step in path.split("/")):
        raise InvalidRequest(f"{where}: no step may be longer than {MAX_STEP_BYTES} bytes")


def checkout(where: str, sent: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The branch or commit to begin with; None is the repository's default branch."""
    if sent is None:
        return None
    if sent["type"] == "commit":
        if not SHA.fullmatch(sent["sha"]):
            raise InvalidRequest(f"{where}.sha: must be 7 to 64 hexadecimal digits")
        return {"type": "commit", "sha": sent["sha"]}
    if not 1 <= len(sent["name"]) <= MAX_BRANCH or sent["name"].startswith("-") or not sent["name"].isprintable():
        raise InvalidRequest(f"{where}.name: must be the name of a branch, 1 to {MAX_BRANCH} characters long")
    return {"type": "branch", "name": sent["name"]}


def store_path(name: str, taken: Iterable[str]) -> str:
    """The directory of a memory store: a slug of its name, with a number after it where two have the same."""
    slug = NOT_IN_SLUG.sub("-", name.lower()).strip("-") or "memory"
    paths = set(taken)
    tries = (slug if number == 1 else f"{slug}-{number}" for number in count(1))
    return next(path for path in (str(MEMORY / attempt) for attempt in tries) if path not in paths)
