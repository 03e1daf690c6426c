"""Shared folders: directories of a sandbox whose files are documents kept elsewhere (memory stores).

The host compares what lies in the directory with what it knows to be stored, hands out what the agent changed,
and writes what others changed. An agent may swap any file for a link while we look, so every step goes through
a descriptor of the directory above it and no link is ever followed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
import threading
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from agents.sandboxes.base import FolderChange, FolderState, FolderUpdate, SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MAX_DOCUMENT = 102_400  # bytes of one document; larger ones are told of without their content
MAX_ENTRIES = 8_000  # of one folder: four times the documents that a store may hold
MAX_DEPTH = 24
ROUND_CHANGES = 200
ROUND_BYTES = 8 * 1024 * 1024
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class _Known:
    """What is stored at a path, and how the file looked when it last was the same."""

    sha: str
    stamp: list[int]


@dataclass(slots=True)
class Folder:
    """One folder. ``root`` is its directory, ``state`` the file that remembers what is known of it,
    ``aside`` below whose ``not-saved`` files go that can't be stored, ``uid`` the owner of what is written (None: us).
    """

    root: Path
    state: Path
    aside: Path | None
    uid: int | None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def exchange(self, updates: Sequence[FolderUpdate]) -> FolderState:
        """Carry ``updates`` out, each only if the file is still as its sender saw it; then look for changes."""
        with self._lock:
            known = self._load()
            try:
                for update in updates:
                    self._apply(update, known)
                found, more = self._changes(known)
            finally:
                self._save(known)
        return FolderState({path: one.sha for path, one in known.items()}, tuple(found), more)

    def _apply(self, update: FolderUpdate, known: dict[str, _Known]) -> None:
        _, sha = self._read(update.path)
        if sha != update.seen:
            return
        if update.kind == "aside" and self.aside is not None:
            _move(self.root, update.path, self.aside, f"/not-saved/{self.root.name}{update.path}", self.uid)
        if update.kind == "put":
            assert update.content is not None
            _write(self.root, update.path, update.content, self.uid)
            sha = _digest(update.content)
        elif update.kind in ("drop", "aside"):
            _remove(self.root, update.path)
            sha = None
        if sha is None:
            known.pop(update.path, None)
        else:
            known[update.path] = _Known(sha, self._stamp(update.path))

    def _changes(self, known: dict[str, _Known]) -> tuple[list[FolderChange], bool]:
        found: list[FolderChange] = []
        here: set[str] = set()
        size = 0
        for path, stamp in _files(self.root):
            here.add(path)
            before = known.get(path)
            if before is not None and before.stamp == stamp:
                continue
            data, sha = self._read(path)
            if before is not None and sha == before.sha:
                before.stamp = stamp
                continue
            if len(found) >= ROUND_CHANGES or size > ROUND_BYTES:
                return found, True
            size += len(data or b"")
            found.append(FolderChange(path, before.sha if before else None, sha, data, stamp[0]))
        gone = [path for path in known if path not in here]
        found += [FolderChange(path, known[path].sha, None, None, 0) for path in gone]
        return found, False

    def _read(self, path: str) -> tuple[bytes | None, str | None]:
        """Content and digest; a file too large, or none at all in our sense, has a digest but no content."""
        try:
            with _parent(self.root, path) as (directory, name):
                fd = os.open(name, READ, dir_fd=directory)
        except FileNotFoundError:
            return None, None
        except OSError:
            return None, "not-a-file"
        with os.fdopen(fd, "rb") as handle:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return None, "not-a-file"
            data = handle.read(MAX_DOCUMENT + 1)
        if len(data) > MAX_DOCUMENT:
            return None, f"too-large-{status.st_size}-{status.st_mtime_ns}"
        return data, _digest(data)

    def _stamp(self, path: str) -> list[int]:
        try:
            with _parent(self.root, path) as (directory, name):
                return _stamp(os.stat(name, dir_fd=directory, follow_symlinks=False))
        except OSError:
            return []

    def _load(self) -> dict[str, _Known]:
        try:
            record: dict[str, Any] = json.loads(self.state.read_text())
        except (OSError, ValueError):
            return {}
        return {path: _Known(sha, stamp) for path, (sha, stamp) in record.items()}

    def _save(self, known: dict[str, _Known]) -> None:
        text = json.dumps({path: [one.sha, one.stamp] for path, one in known.items()})
        part = self.state.with_suffix(".part")
        part.write_text(text)
        part.chmod(0o600)
        part.rename(self.state)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _stamp(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _files(root: Path) -> Iterator[tuple[str, list[int]]]:
    """Everything below ``root`` that is no directory, as ``/path`` and its stamp; bounded."""
    pending: list[tuple[str, int]] = [("", 0)]
    seen = 0
    while pending:
        relative, depth = pending.pop()
        try:
            with _directory(root, relative) as fd:
                first = islice(os.scandir(fd), MAX_ENTRIES + 1)
                entries = [(entry.name, entry.stat(follow_symlinks=False)) for entry in first]
        except OSError:
            continue
        for name, status in sorted(entries, key=lambda one: one[0]):
            seen += 1
            if seen > MAX_ENTRIES:
                raise SandboxError(f"A memory folder holds more than {MAX_ENTRIES:,} entries; remove some.")
            path = f"{relative}/{name}"
            if stat.S_ISDIR(status.st_mode) and depth < MAX_DEPTH:
                pending.append((path, depth + 1))
            else:
                yield path, _stamp(status)


@contextlib.contextmanager
def _directory(root: Path, relative: str, *, make_for: int | None = None, make: bool = False) -> Iterator[int]:
    """A descriptor of ``root`` + ``relative``, step by step without links; missing ones are made on request."""
    fd = os.open(root, DIRECTORY)
    try:
        for name in relative.split("/")[1:]:
            if name in ("", ".", ".."):
                raise FileNotFoundError(relative)
            try:
                below = os.open(name, DIRECTORY, dir_fd=fd)
            except FileNotFoundError:
                if not make:
                    raise
                os.mkdir(name, 0o755, dir_fd=fd)
                below = os.open(name, DIRECTORY, dir_fd=fd)
                if make_for is not None:
                    os.fchown(below, make_for, make_for)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _parent(root: Path, path: str, *, make_for: int | None = None, make: bool = False) -> Iterator[tuple[int, str]]:
    above, _, name = path.rpartition("/")
    if name in ("", ".", ".."):
        raise FileNotFoundError(path)
    with _directory(root, above, make_for=make_for, make=make) as fd:
        yield fd, name


def _write(root: Path, path: str, data: bytes, uid: int | None) -> None:
    """Replace a file in one step. What is in the way (a directory, a file as a parent) makes it a ``SandboxError``."""
    try:
        with _parent(root, path, make_for=uid, make=True) as (directory, name):
            part = f".{secrets.token_hex(8)}.part"
            fd = os.open(part, CREATE, 0o644, dir_fd=directory)
            with os.fdopen(fd, "wb") as handle:
                handle.write(data)
                if uid is not None:
                    os.fchown(fd, uid, uid)
            try:
                os.rename(part, name, src_dir_fd=directory, dst_dir_fd=directory)
            except OSError:
                os.unlink(part, dir_fd=directory)
                raise
    except OSError as error:
        raise SandboxError(f"{path[:200]} can't be written: {error.strerror}.") from None


def _move(root: Path, path: str, target: Path, name: str, uid: int | None) -> None:
    """Move a regular file elsewhere on the same disk; anything else stays where it is."""
    with contextlib.suppress(OSError), _parent(root, path) as (source, old):
        if stat.S_ISREG(os.stat(old, dir_fd=source, follow_symlinks=False).st_mode):
            with _parent(target, name, make_for=uid, make=True) as (directory, new):
                os.rename(old, new, src_dir_fd=source, dst_dir_fd=directory)


def _remove(root: Path, path: str) -> None:
    """Unlink a file and the directories that it leaves empty."""
    with contextlib.suppress(OSError), _parent(root, path) as (directory, name):
        os.unlink(name, dir_fd=directory)
    above = path.rpartition("/")[0]
    while above:
        with contextlib.suppress(OSError), _parent(root, above) as (directory, name):
            os.rmdir(name, dir_fd=directory)
        above = above.rpartition("/")[0]
