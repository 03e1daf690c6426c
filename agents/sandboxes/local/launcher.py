"""The local launcher: what ``engine.Launcher`` asks for, by bubblewrap on this machine."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

from agents.sandboxes.base import (
    MIB,
    SKILLS,
    UPLOADS,
    FolderState,
    FolderUpdate,
    Limits,
    Report,
    SandboxError,
    SandboxLost,
    SandboxSpec,
    SandboxUnavailable,
    SharedFolder,
)
from agents.sandboxes.egress import Gate
from agents.sandboxes.folders import Folder
from agents.sandboxes.local import probe, usage
from agents.sandboxes.local.beneath import open_beneath
from agents.sandboxes.local.binary import Runtime, install
from agents.sandboxes.local.cgroups import Cgroups
from agents.sandboxes.local.layout import Box, Layout
from agents.sandboxes.local.packages import PackageSets
from agents.sandboxes.local.process import Process, Spawner, start_time
from agents.sandboxes.local.trust import bundle

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """``root``: the sandbox data directory. ``cgroup``: a delegated cgroup directory, or None.
    ``floor_bytes``: free disk space below which writers are ended and nothing is opened.
    ``egress``: the egress proxy's unix socket, or None for sandboxes without a network only.
    """

    root: Path
    cgroup: Path | None = None
    floor_bytes: int = 512 * MIB
    egress: Path | None = None


@dataclass(slots=True)
class _Watch:
    """When a sandbox's disk use was last measured, and how much it was."""

    next_disk: float = 0.0
    disk: int = 0
    growth: int = 0


class LocalLauncher:
    """Sandboxes below one root; holds a lock on it, so that no second host serves the same one."""

    def __init__(self, settings: LocalSettings, runtime: Runtime | None = None) -> None:
        self._settings = settings
        self._layout = Layout(settings.root)
        self._lock_fd = _lock(settings.root / "lock")
        self._runtime = runtime or install(settings.root / "runtime")
        self._spawner = Spawner(self._runtime)
        self._cgroups, self._cgroup_fault = _cgroups(settings.cgroup)
        self._watches: dict[str, _Watch] = {}
        self._unsealed: dict[str, Box] = {}
        self._folders: dict[Path, Folder] = {}
        self._folders_lock = threading.Lock()
        self._gate = Gate(settings.egress) if settings.egress else None
        self._packages = PackageSets(settings.root)
        self._kill_leftovers()
        layers = ["rlimits", "watchdog"]
        if self._cgroups is not None:
            layers.insert(1, "cgroup")
        self.layers = tuple(layers)

    def probe(self) -> Report:
        """Start a sandbox in a throw-away box and look at it from inside."""
        reasons = [reason for reason in (self._cgroup_fault, self.room()) if reason]
        return probe.report(self._layout, self._spawner, self.layers, reasons)

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

    def add_uploads(self, spec: SandboxSpec) -> None:
        box = self._box(spec.sandbox_id)
        for upload in spec.uploads:
            target = _upload_path(box, upload.path)
            if target.exists():
                continue
            if usage.free_bytes(box.path) - upload.size < self._settings.floor_bytes:
                raise SandboxUnavailable(f"There is no room on the disk for the upload {upload.path}.")
            _copy_upload(upload.open(), target, upload.size, 0o555 if upload.executable else 0o444)

    def start(self, spec: SandboxSpec) -> Process:
        sandbox_id, limits = spec.sandbox_id, spec.limits
        process = self._start(spec)
        record = {"pid": process.init_pid, "start": start_time(process.init_pid)}
        (self._box(sandbox_id).path / "init.json").write_text(json.dumps(record))
        if self._cgroups is not None:
            # The runner waits for its first line, so nothing has been started in there yet.
            self._cgroups.create(sandbox_id, limits)
            self._cgroups.enter(sandbox_id, process.init_pid)
        return process

    def _start(self, spec: SandboxSpec) -> Process:
        box = replace(self._box(spec.sandbox_id), folders=tuple(spec.folders))
        self._layout.make_folders(box)
        mounts = tuple(self._packages.options(box, spec.packages))
        if spec.network == "none":
            return self._spawner.start(box, "serve", mounts=mounts)
        if self._gate is None:
            raise SandboxUnavailable("This sandbox host was started without an egress proxy (--egress).")
        trust = box.path / "trust.pem"
        trust.unlink(missing_ok=True)
        trust.write_text(bundle(spec.trust))
        trust.chmod(0o444)
        process, listener = self._spawner.start_with_door(box, trust, mounts)
        self._gate.attach(spec.sandbox_id, listener)
        return process

    def run(self, sandbox_id: str, limits: Limits, *arguments: str) -> Process:
        return self._spawner.start(self._box(sandbox_id), *arguments)

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

    def excess(self, sandbox_id: str, process: object, limits: Limits) -> str | None:
        assert isinstance(process, Process)
        memory = usage.memory_bytes(process.init_pid)
        if memory > limits.memory_bytes:
            return f"The sandbox used {_mib(memory)} of memory, more than its limit of {_mib(limits.memory_bytes)}."
        watch = self._watches.setdefault(sandbox_id, _Watch())
        now = time.monotonic()
        if now < watch.next_disk:
            return None
        box = self._box(sandbox_id)
        disk = usage.disk_bytes(box.files)
        # A large tree takes long to count: spend a twentieth of the time on it at most.
        watch.next_disk = time.monotonic() + max(2.0, 20 * (time.monotonic() - now))
        watch.growth, watch.disk = disk - watch.disk, disk
        if disk > limits.disk_bytes:
            return f"The sandbox used {_mib(disk)} of disk, more than its limit of {_mib(limits.disk_bytes)}."
        if watch.growth > 0 and self.room() is not None:
            return "The machine's disk is nearly full and the sandbox was writing to it."
        return None

    def room(self) -> str | None:
        free, floor = usage.free_bytes(self._settings.root), self._settings.floor_bytes
        if free >= floor:
            return None
        return f"{self._settings.root} has {_mib(free)} left, less than the floor of {_mib(floor)}: free some space."

    def has_packages(self, name: str) -> bool:
        return self._packages.has(name)

    def keep_packages(self, name: str) -> None:
        self._packages.keep(self._box(name))

    def sweep_packages(self, used: Collection[str]) -> None:
        self._packages.sweep(used)

    def ended(self, sandbox_id: str) -> None:
        self._watches.pop(sandbox_id, None)
        if self._gate is not None:
            self._gate.detach(sandbox_id)
        if self._cgroups is not None:
            self._cgroups.remove(sandbox_id)

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

    def _kill_leftovers(self) -> None:
        """End what a killed host may have left; a number used again has another start time."""
        for sandbox_id in self._layout.ids():
            try:
                record = json.loads((self._layout.boxes / sandbox_id / "init.json").read_text())
                fd = os.pidfd_open(record["pid"])
            except (OSError, ValueError, KeyError):
                continue
            if start_time(record["pid"]) == record["start"]:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            os.close(fd)


def _lock(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise SandboxUnavailable(f"Another sandbox host already serves {path.parent}; stop it first.") from None
    return fd


def _cgroups(root: Path | None) -> tuple[Cgroups | None, str | None]:
    if root is None:
        return None, "No cgroup is delegated (--cgroup): memory is limited by rlimits and the watchdog only."
    groups = Cgroups(root)
    fault = groups.fault()
    return (None, fault) if fault else (groups, None)


def _upload_path(box: Box, path: str) -> Path:
    for place, directory in ((UPLOADS, box.uploads), (SKILLS, box.skills)):
        relative = path.removeprefix(place + "/")
        parts = relative.split("/")
        if relative != path and "\0" not in path and not any(part in ("", ".", "..") for part in parts):
            return directory.joinpath(*parts)
    raise SandboxError(f"The upload path {path[:200]!r} is neither below {UPLOADS} nor below {SKILLS}.")


def _copy_upload(source: BinaryIO, target: Path, size: int, mode: int) -> None:
    """Copy under another name first: a half copied file is never taken for a whole one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for directory in target.parents:
        if directory.parent.parent.name == "boxes":
            break
        directory.chmod(0o755)
    part = target.with_name(target.name[:200] + ".part")
    left = size
    with source, part.open("wb") as out:
        while piece := source.read(PIECE):
            left -= len(piece)
            if left < 0:
                break
            out.write(piece)
    if left != 0:
        part.unlink()
        raise SandboxError(f"The upload {target.name} is not of the size announced ({size} bytes).")
    part.chmod(mode)
    part.rename(target)


def _mib(size: int) -> str:
    return f"{size / MIB:,.0f} MiB"
