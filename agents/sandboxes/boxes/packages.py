"""Package sets on this machine's disk: ``<directory>/<name>``, owned by the host, readable by every sandbox."""

from __future__ import annotations

import os
import shutil
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agents.sandboxes import packages
from agents.sandboxes.boxes.mounts import Mount

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from agents.sandboxes.boxes.layout import Box

KEPT_SECONDS = 30 * 86_400.0
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
        part.rename(self._root / name)

    def sweep(self, used: Collection[str]) -> list[str]:
        """Remove what no sandbox was started with for a month; returns the names."""
        before = time.time() - KEPT_SECONDS
        old = [entry for entry in self._root.iterdir() if entry.name not in used and entry.stat().st_mtime < before]
        for entry in old:
            shutil.rmtree(entry, ignore_errors=True)
        return [entry.name for entry in old]


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
