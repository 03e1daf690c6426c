"""Boxes as a launcher keeps them: made, filled, looked into, measured and removed, whatever runs inside them."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agents.sandboxes.archives import ROOTS
from agents.sandboxes.base import (
    MIB,
    SKILLS,
    UPLOADS,
    FolderState,
    FolderUpdate,
    Limits,
    PackageSet,
    SandboxError,
    SandboxLost,
    SandboxSpec,
    SandboxUnavailable,
    SharedFolder,
    Upload,
)
from agents.sandboxes.boxes import usage
from agents.sandboxes.boxes.beneath import open_beneath
from agents.sandboxes.boxes.layout import Box, Layout
from agents.sandboxes.boxes.mounts import of_session
from agents.sandboxes.boxes.packages import PackageSets
from agents.sandboxes.boxes.trust import bundle
from agents.sandboxes.egress import Gate
from agents.sandboxes.folders import Folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from agents.sandboxes.boxes.mounts import Mount

PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class BoxSettings:
    """``root``: the sandbox data directory. ``floor_bytes``: free disk space below which writers are ended and
    nothing is opened. ``egress``: the egress proxy's unix socket, or None for sandboxes without a network only.
    """

    root: Path
    floor_bytes: int = 512 * MIB
    egress: Path | None = None


@dataclass(slots=True)
class _Watch:
    """When a sandbox's disk use was last measured, and how much it was."""

    next_disk: float = 0.0
    disk: int = 0
    growth: int = 0


class Keeper:
    """Boxes below one root; holds a lock on it, so that no second host serves the same one."""

    def __init__(self, settings: BoxSettings, packages: str = "packages") -> None:
        """``packages``: the directory of package sets, for sandboxes that can share them."""
        self._settings = settings
        self._layout = Layout(settings.root)
        self._lock_fd = _lock(settings.root / "lock")
        self._watches: dict[str, _Watch] = {}
        self._unsealed: dict[str, Box] = {}
        self._folders: dict[Path, Folder] = {}
        self._folders_lock = threading.Lock()
        self._gate = Gate(settings.egress) if settings.egress else None
        self._packages = PackageSets(settings.root / packages)

    def ids(self) -> list[str]:
        return self._layout.ids()

    def exists(self, sandbox_id: str) -> bool:
        return self._layout.find(sandbox_id) is not None

    def create(self, sandbox_id: str) -> None:
        self._unsealed[sandbox_id] = self._layout.create(sandbox_id)

    def seal(self, sandbox_id: str) -> None:
        self._layout.seal(self._box(sandbox_id))
        self._unsealed.pop(sandbox_id, None)

    def remove(self, sandbox_id: str) -> None:
        self._layout.remove(sandbox_id)
        with self._folders_lock:
            self._folders = {path: one for path, one in self._folders.items() if path.parent.parent.name != sandbox_id}

    def journal(self, sandbox_id: str) -> Path:
        return self._box(sandbox_id).journal

    def bare(self, sandbox_id: str) -> dict[str, int] | None:
        kept = [mount for mount in of_session(self._box(sandbox_id)) if mount.target in ROOTS]
        try:
            if any(any(mount.source.iterdir()) for mount in kept):
                return None
            return {mount.target: mount.source.stat().st_mode for mount in kept}
        except OSError:  # a place that its owner closed to us: those inside know what is in it
            return None

    def add_uploads(self, spec: SandboxSpec) -> None:
        box = self._box(spec.sandbox_id)
        for upload in spec.uploads:
            place, target = _upload_path(box, upload.path)
            if target.exists():
                continue
            if usage.free_bytes(box.path) - upload.size < self._settings.floor_bytes:
                raise SandboxUnavailable(f"There is no room on the disk for the upload {upload.path}.")
            part = box.path / "upload.part"  # a half copied file is never taken for a whole one
            _copy_upload(upload, part)
            self._layout.make_shown(box, place)
            for directory in reversed(target.relative_to(place).parents):
                (place / directory).mkdir(exist_ok=True)
                if directory.name:
                    (place / directory).chmod(0o755)
            part.rename(target)

    def prepared(self, spec: SandboxSpec) -> tuple[Box, list[Mount]]:
        """The box with its shared folders, and what is shown inside besides the session's own places."""
        box = replace(self._box(spec.sandbox_id), folders=tuple(spec.folders))
        self._layout.make_folders(box)
        return box, list(self._packages.mounts(box, spec.packages))

    def gate(self) -> Gate:
        """The way to the egress proxy; raises ``SandboxUnavailable`` where there is none."""
        if self._gate is None:
            raise SandboxUnavailable("This sandbox host was started without an egress proxy (--egress).")
        return self._gate

    def trusting(self, box: Box, certificate: str) -> Path:
        """Write the bundle of certificates that this sandbox trusts."""
        trust = box.path / "trust.pem"
        trust.unlink(missing_ok=True)
        trust.write_bytes(bundle(certificate))
        trust.chmod(0o444)
        return trust

    def read_output(self, sandbox_id: str, path: str) -> Iterator[bytes]:
        handle = os.fdopen(open_beneath(self._box(sandbox_id).outputs, path), "rb")

        def pieces() -> Iterator[bytes]:
            with handle:
                while piece := handle.read(PIECE):
                    yield piece

        return pieces()

    def exchange(self, sandbox_id: str, folder: str, updates: Sequence[FolderUpdate]) -> FolderState:
        return self._folder(self._box(sandbox_id), folder).exchange(updates)

    def _folder(self, box: Box, name: str) -> Folder:
        """The shared folder of that name, as it was made when the sandbox was started."""
        state = box.memory / f"{name}.json"
        with self._folders_lock:
            if state not in self._folders:
                for folder in (SharedFolder(name, read_only=False), SharedFolder(name, read_only=True)):
                    root = box.folder(folder)
                    if root.is_dir() and state.parent == box.memory:
                        aside = None if folder.read_only else box.files / "tmp"
                        uid = None if folder.read_only else box.uid
                        self._folders[state] = Folder(root, state, aside, uid)
                        break
                else:
                    raise SandboxError(f"There is no shared folder {name[:80]!r} in {box.path.name}.")
            return self._folders[state]

    def disk_excess(self, sandbox_id: str, limits: Limits) -> str | None:
        """Which limit of disk space the sandbox exceeds, as a sentence; measured now and then."""
        watch = self._watches.setdefault(sandbox_id, _Watch())
        now = time.monotonic()
        if now < watch.next_disk:
            return None
        box = self._box(sandbox_id)
        disk = usage.disk_bytes(box.files)
        # A large tree takes long to count: spend a twentieth of the time on it at most.
        watch.next_disk = time.monotonic() + max(2.0, 20 * (time.monotonic() - now))
        if disk is None:  # too many files to be counted: taken to be growing
            disk = watch.disk + 1
        watch.growth, watch.disk = disk - watch.disk, disk
        if disk > limits.disk_bytes:
            return f"The sandbox used {mib(disk)} of disk, more than its limit of {mib(limits.disk_bytes)}."
        if watch.growth > 0 and self.room() is not None:
            return "The machine's disk is nearly full and the sandbox was writing to it."
        return None

    def room(self) -> str | None:
        free, floor = usage.free_bytes(self._settings.root), self._settings.floor_bytes
        if free >= floor:
            return None
        return f"{self._settings.root} has {mib(free)} left, less than the floor of {mib(floor)}: free some space."

    def has_packages(self, name: str) -> bool:
        return self._packages.has(name)

    def keep_packages(self, name: str) -> None:
        self._packages.keep(self._box(name))

    def note_package_fault(self, name: str, fault: str) -> None:
        self._packages.note_fault(name, fault)

    def package_set(self, name: str) -> PackageSet:
        return self._packages.about(name)

    def sweep_packages(self, used: Collection[str]) -> None:
        self._packages.sweep(used)

    def ended(self, sandbox_id: str) -> None:
        self._watches.pop(sandbox_id, None)
        if self._gate is not None:
            self._gate.detach(sandbox_id)

    def release(self) -> None:
        """Give the root free for another host."""
        if self._gate is not None:
            self._gate.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _box(self, sandbox_id: str) -> Box:
        box = self._layout.find(sandbox_id) or self._unsealed.get(sandbox_id)
        if box is None:
            raise SandboxLost(f"There are no files of {sandbox_id} on this host.")
        return box


def _lock(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise SandboxUnavailable(f"Another sandbox host already serves {path.parent}; stop it first.") from None
    return fd


def _upload_path(box: Box, path: str) -> tuple[Path, Path]:
    """The box's directory for such uploads, and the upload's place below it."""
    for place, directory in ((UPLOADS, box.uploads), (SKILLS, box.skills)):
        relative = path.removeprefix(place + "/")
        parts = relative.split("/")
        if relative != path and "\0" not in path and not any(part in ("", ".", "..") for part in parts):
            return directory, directory.joinpath(*parts)
    raise SandboxError(f"The upload path {path[:200]!r} is neither below {UPLOADS} nor below {SKILLS}.")


def _copy_upload(upload: Upload, part: Path) -> None:
    part.unlink(missing_ok=True)
    left = upload.size
    with upload.open() as source, part.open("wb") as out:
        while piece := source.read(PIECE):
            left -= len(piece)
            if left < 0:
                break
            out.write(piece)
    if left != 0:
        part.unlink()
        raise SandboxError(f"The upload {upload.path} is not of the size announced ({upload.size} bytes).")
    part.chmod(0o555 if upload.executable else 0o444)


def mib(size: int) -> str:
    return f"{size / MIB:,.0f} MiB"
