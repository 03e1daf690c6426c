"""Where backends keep things on this machine's disk, and which host uid owns them.

::

    <root>/                      0711 as root, else 0700
      lock                       held by the one sandbox host that serves this root
      runtime/<digest>/          what every sandbox is shown of ours: the runner, an /etc, bwrap (read-only to all)
      packages/<name>/           package sets (``boxes.packages``)
      boxes/<sandbox id>/        0711
        box.json  journal.jsonl  0600, never visible inside
        …                        what a backend adds: trust.pem, init.json, apt/, etc/, door/
        files/                   0700, owned by the sandbox's own uid
          workspace/ home/ outputs/ tmp/
          memory/<name>/         the shared folders that the agent may write
        uploads/ skills/         0750, owned by the host, the sandbox's group may read; skills/ and memory/ only if used
        memory/<name>/           the shared folders that it may only read
        memory/<name>.json       what is known to be stored of a shared folder
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from agents.sandboxes.base import SandboxError, SharedFolder

SYSTEM_ROOT = Path("/var/lib/holdfast")
WRITABLE = ("workspace", "home", "outputs", "tmp")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
# Above the ranges that distributions hand to users, services and containers, below 2**31.
_UID_FIRST, _UID_BLOCK, _UID_BLOCKS = 1_900_000_000, 100_000, 2_000


def traversable_by_all(path: Path) -> bool:
    """Whether any other uid can reach ``path`` (or the nearest existing ancestor of it)."""
    path = path.absolute()
    existing = [p for p in (path, *path.parents) if p.exists()]
    return all(p.stat().st_mode & 0o001 for p in existing)


def sandbox_root(wanted: Path) -> Path:
    """The directory for sandbox data. As root every session has a uid of its own, which must be
    able to reach its files: a directory under a closed home is replaced by a system one, named by
    the hash of the wanted path so that two installations do not collide.
    """
    wanted = wanted.absolute()
    if os.geteuid() != 0 or traversable_by_all(wanted.parent):
        return wanted
    return SYSTEM_ROOT / hashlib.sha256(str(wanted).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Box:
    """The directories of one sandbox and the host uid that owns them (None: our own)."""

    path: Path
    uid: int | None
    folders: tuple[SharedFolder, ...] = ()

    @property
    def files(self) -> Path:
        return self.path / "files"

    @property
    def uploads(self) -> Path:
        return self.path / "uploads"

    @property
    def skills(self) -> Path:
        return self.path / "skills"

    @property
    def has_skills(self) -> bool:
        return self.skills.is_dir() and any(self.skills.iterdir())

    @property
    def memory(self) -> Path:
        return self.path / "memory"

    def folder(self, folder: SharedFolder) -> Path:
        """The directory of a shared folder."""
        return (self.memory if folder.read_only else self.files / "memory") / folder.name

    @property
    def outputs(self) -> Path:
        return self.files / "outputs"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"


class Layout:
    """Creates, finds and removes boxes below one root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.boxes = root / "boxes"
        self.per_box_uid = os.geteuid() == 0
        self._found: dict[str, Box] = {}
        self._uids: dict[str, int] | None = None  # by id; read from the disk once, for only one host serves a root
        self._uids_lock = threading.Lock()
        mode = 0o711 if self.per_box_uid else 0o700
        if self.per_box_uid and root.is_relative_to(SYSTEM_ROOT):
            SYSTEM_ROOT.mkdir(mode=mode, parents=True, exist_ok=True)
        for directory in (root, self.boxes, root / "runtime"):
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(mode)

    def ids(self) -> list[str]:
        return sorted(entry.name for entry in os.scandir(self.boxes) if _ID.fullmatch(entry.name))

    def find(self, sandbox_id: str) -> Box | None:
        """The box of this id if its directory was completely made."""
        path = self._path(sandbox_id)
        found = self._found.get(sandbox_id)
        if found is not None and os.path.exists(f"{path}/box.json"):  # noqa: PTH110 - a dozen times for each opening
            return found
        try:
            record = json.loads((path / "box.json").read_text())
        except (OSError, ValueError):
            return None
        found = self._found[sandbox_id] = Box(path, record["uid"])
        return found

    def create(self, sandbox_id: str) -> Box:
        """Make an empty box; what a crash left half made is removed first."""
        path = self._path(sandbox_id)
        shutil.rmtree(path, ignore_errors=True)
        box = Box(path, self._uid(sandbox_id) if self.per_box_uid else None)
        for directory, mode in ((path, 0o711), (box.files, 0o700)):
            directory.mkdir(mode=mode)
            directory.chmod(mode)
        self.make_shown(box, box.uploads)
        for name in WRITABLE:
            (box.files / name).mkdir(mode=0o755)
        if box.uid is not None:
            for owned in (box.files, *(box.files / name for name in WRITABLE)):
                os.chown(owned, box.uid, box.uid)
        return box

    def make_shown(self, box: Box, directory: Path) -> None:
        """Make a directory of the box in which its sandbox may read, if it isn't there."""
        if not directory.exists():
            directory.mkdir(mode=0o750)
            directory.chmod(0o750)
            if box.uid is not None:
                os.chown(directory, -1, box.uid)

    def make_folders(self, box: Box) -> None:
        """Make the directories of the box's shared folders, and clear the place where skills are shown."""
        if box.folders:
            self.make_shown(box, box.memory)
        for folder in box.folders:
            _check_name(folder.name)
            path = box.folder(folder)
            path.parent.mkdir(mode=0o755, exist_ok=True)
            path.mkdir(mode=0o755, exist_ok=True)
            if box.uid is not None and not folder.read_only:
                os.chown(path, box.uid, box.uid)
        place = box.files / "workspace" / "skills"
        if box.has_skills and (place.is_symlink() or not place.is_dir()):
            place.unlink(missing_ok=True)
            place.mkdir(mode=0o755)
            if box.uid is not None:
                os.chown(place, box.uid, box.uid)

    def seal(self, box: Box) -> None:
        """Mark a box as complete: from now on its files and journal are kept."""
        part = box.path / "box.json.part"
        part.write_text(json.dumps({"uid": box.uid}))
        part.chmod(0o600)
        part.rename(box.path / "box.json")
        self._found[box.path.name] = Box(box.path, box.uid)

    def remove(self, sandbox_id: str) -> None:
        """Remove a box; directories the session closed to itself are opened on the way."""
        path = self._path(sandbox_id)
        (path / "box.json").unlink(missing_ok=True)
        self._found.pop(sandbox_id, None)
        if not self.per_box_uid and path.exists():
            _open_directories(path)
        shutil.rmtree(path, ignore_errors=True)
        if self._uids is not None and not path.exists():
            with self._uids_lock:
                self._uids.pop(sandbox_id, None)

    def _path(self, sandbox_id: str) -> Path:
        if not _ID.fullmatch(sandbox_id):
            raise SandboxError(f"{sandbox_id[:80]!r} cannot name a sandbox: letters, digits, - and _ only.")
        return self.boxes / sandbox_id

    def _uid(self, sandbox_id: str) -> int:
        """A uid that no other box has."""
        digest = hashlib.sha256(str(self.root).encode()).digest()
        first = _UID_FIRST + int.from_bytes(digest[:4], "big") % _UID_BLOCKS * _UID_BLOCK
        with self._uids_lock:
            if self._uids is None:
                files = ((name, self.boxes / name / "files") for name in self.ids())
                self._uids = {name: path.stat().st_uid for name, path in files if path.exists()}
            used = {uid for name, uid in self._uids.items() if name != sandbox_id}
            free = next((uid for uid in range(first, first + _UID_BLOCK) if uid not in used), None)
            if free is None:
                raise SandboxError(f"All {_UID_BLOCK} sandbox uids of {self.root} are in use; delete old sessions.")
            self._uids[sandbox_id] = free
            return free


def _check_name(name: str) -> None:
    if name in ("", ".", "..") or "/" in name or not name.isprintable():
        raise SandboxError(f"{name[:80]!r} cannot name a shared folder.")


def _open_directories(path: Path) -> None:
    for directory, names, _ in os.walk(path):
        for child in (Path(directory, name) for name in names):
            if not child.is_symlink():
                child.chmod(0o700)
