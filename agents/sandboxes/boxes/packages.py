"""Package sets on this machine's disk: ``<directory>/<name>``, owned by the host, readable by every sandbox.

Beside each ``<name>.json``, what is known of it. A set that was made anew stays as ``<name>.old-<n>`` for the sandboxes
that show it.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.sandboxes import packages
from agents.sandboxes.base import PackageSet
from agents.sandboxes.boxes.mounts import Mount
from agents.sandboxes.boxes.usage import disk_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from agents.sandboxes.boxes.layout import Box

KEPT_SECONDS = 30 * 86_400.0
FAULT_CHARACTERS = 2_000
OLD = ".old-"
MADE = "packages"  # a directory of the box that makes a set


class PackageSets:
    """Keeps them in one directory, each under its name once it is complete."""

    def __init__(self, directory: Path) -> None:
        self._root = directory
        self._root.mkdir(mode=0o711, exist_ok=True)
        self._root.chmod(0o711)

    def has(self, name: str) -> bool:
        return (self._root / name).is_dir()

    def path(self, name: str) -> Path:
        """Where a set lies, or would."""
        return self._root / name

    def mounts(self, box: Box, names: Iterable[str]) -> Iterator[Mount]:
        """What shows sets inside: to the box that makes one, its own, to be written to."""
        for name in names:
            place = packages.place_of(name)
            if box.path.name == name:
                made = box.files / MADE
                made.mkdir(exist_ok=True)
                if box.uid is not None:
                    os.chown(made, box.uid, box.uid)
                yield Mount(made, place, writable=True)
            elif self.has(name):
                os.utime(self._root / name)
                yield Mount(self._root / name, place)

    def keep(self, box: Box) -> None:
        """Make what a box installed a set, under the box's name. Call it when nothing runs in the box any more."""
        name, made = box.path.name, box.files / MADE
        part = self._root / f"{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        made.rename(part)
        _hand_over(part)
        if self.has(name):
            (self._root / name).rename(self._root / f"{name}{OLD}{time.time_ns()}")
        os.utime(part)  # used now; packages may have brought another time
        part.rename(self._root / name)
        self._note(name, built_at=time.time(), size=disk_bytes(self._root / name))

    def note_fault(self, name: str, fault: str) -> None:
        """Remember why a set could not be made; what is known of an earlier one stays."""
        known = self._known(name)
        self._note(name, **{**known, "failed_at": time.time(), "fault": fault[-FAULT_CHARACTERS:]})

    def about(self, name: str) -> PackageSet:
        known = self._known(name)
        if not self.has(name):
            return PackageSet(name, failed_at=known.get("failed_at"), fault=known.get("fault", ""))
        return PackageSet(name, kept=True, used_at=(self._root / name).stat().st_mtime, **known)

    def _known(self, name: str) -> dict[str, Any]:
        try:
            known: dict[str, Any] = json.loads((self._root / f"{name}.json").read_text())
        except (OSError, ValueError):
            return {}
        return known

    def _note(self, name: str, **known: Any) -> None:
        part = self._root / f"{name}.json.part"
        part.write_text(json.dumps(known))
        part.rename(self._root / f"{name}.json")

    def sweep(self, used: Collection[str]) -> list[str]:
        """Remove what no sandbox was started with for a month, and what was made anew; returns the names."""
        before = time.time() - KEPT_SECONDS
        unused = [entry for entry in self._root.iterdir() if entry.name.partition(".")[0] not in used]
        old = [entry for entry in unused if OLD in entry.name or self._used_at(entry) < before]
        for entry in old:
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        return [entry.name for entry in old]

    def _used_at(self, entry: Path) -> float:
        """What is known of a set is used whenever the set is."""
        kept = entry.with_suffix("")
        return (kept if entry.suffix == ".json" and kept.is_dir() else entry).stat().st_mtime


def _hand_over(root: Path) -> None:
    """The host's own, plain files and directories only, readable by all, no setuid. Links are left as they are: they
    are followed inside, by the sandboxes.
    """
    for directory, names, files in os.walk(root):
        _set_mode(Path(directory), 0o755)
        for path in (Path(directory, name) for name in (*names, *files)):
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                _set_mode(path, 0o755 if mode & 0o111 else 0o644)
            elif stat.S_ISLNK(mode):
                _own(path)
            elif not stat.S_ISDIR(mode):
                path.unlink()


def _set_mode(path: Path, mode: int) -> None:
    _own(path)
    path.chmod(mode)


def _own(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, 0, 0, follow_symlinks=False)
