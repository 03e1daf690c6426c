"""apt packages in sandboxes of this machine: how apt is configured here, and package sets laid over ``/usr``.

A sandbox that makes a set sees a copy of apt's sources and keys without sign-ins, a choice of its settings, and what
the machine has installed. In others the set lies where its packages expect it: a read-only overlay over the machine's
``/usr``, and below ``/etc`` what isn't there.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from agents.sandboxes.boxes.mounts import Mount
from agents.sandboxes.local.arguments import shown_in_etc

if TYPE_CHECKING:
    from collections.abc import Iterator

ASK_SECONDS = 20.0
FILE_BYTES = 4 * 1024 * 1024
FILES = 500  # of one directory
# Where apt keeps what, and as what a sandbox is to find it. All but the last below /etc/apt.
_PLACES = {
    "Dir::Etc::sourcelist/f": "sources.list",
    "Dir::Etc::sourceparts/d": "sources.list.d",
    "Dir::Etc::trusted/f": "trusted.gpg",
    "Dir::Etc::trustedparts/d": "trusted.gpg.d",
    "Dir::Etc::preferences/f": "preferences",
    "Dir::Etc::preferencesparts/d": "preferences.d",
    "Dir::State::status/f": "status",
}
_STATUS = "/var/lib/dpkg/status"
_KEYRINGS = Path("/etc/apt/keyrings")
# Settings taken over from the machine. None that turns a check of signatures off, none that may hold a sign-in.
_SETTINGS = re.compile(
    r"^(APT::(Architecture|Architectures|Default-Release)|Acquire::(Check-Valid-Until|Check-Date|Max-ValidTime|Min-ValidTime"
    r"|IndexTargets|By-Hash|GzipIndexes|CompressionTypes))\b.*;$"
)
_SIGN_IN = re.compile(r"(?<=://)[^/\s@]*@")


def configuration(directory: Path) -> Iterator[Mount]:
    """What a sandbox that makes a set is shown besides; ``directory`` is made for the copies. Nothing without apt."""
    if shutil.which("apt-config") is None:
        return
    places = _ask_places()
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o755)
    for name, path in places.items():
        if name != "status":
            _copy(path, directory / name)
    _copy(_KEYRINGS, directory / "keyrings")
    (directory / "apt.conf.d").mkdir()
    (directory / "apt.conf").write_text(_settings())
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    yield Mount(directory, "/etc/apt")
    if (status := places.get("status")) and status.is_file():
        yield Mount(status, _STATUS)


def in_place(kept: Path) -> Iterator[Mount]:
    """A set as parts of ``/usr`` and ``/etc``. Links at their top are left out: they would be followed out here."""
    usr, etc = kept / "usr", kept / "etc"
    if usr.is_dir() and not usr.is_symlink():
        yield Mount(usr, "/usr", over=True)
    if etc.is_dir() and not etc.is_symlink():
        for path in sorted(etc.iterdir()):
            if not path.is_symlink() and not shown_in_etc(path.name):
                yield Mount(path, f"/etc/{path.name}")


def _ask_places() -> dict[str, Path]:
    names = {f"P{number}": (key, name) for number, (key, name) in enumerate(_PLACES.items())}
    asked = [word for variable, (key, _name) in names.items() for word in (variable, key)]
    found = re.findall(r"^(P\d+)='([^']*)'$", _run("apt-config", "shell", *asked), re.MULTILINE)
    return {names[variable][1]: Path(path) for variable, path in found if variable in names}


def _settings() -> str:
    lines = (line for line in _run("apt-config", "dump").splitlines() if _SETTINGS.match(line))
    return "".join(f"{line}\n" for line in lines)


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    return done.stdout


def _copy(source: Path, target: Path) -> None:
    """A file or the files of a directory that we may read, addresses without their sign-ins."""
    if source.is_dir():
        target.mkdir(exist_ok=True)
        for path in sorted(source.iterdir())[:FILES]:
            if path.is_file():
                _copy(path, target / path.name)
        return
    try:
        if not source.is_file() or source.stat().st_size > FILE_BYTES:
            return
        data = source.read_bytes()
    except OSError:
        return
    if target.name == "sources.list" or target.suffix in (".list", ".sources"):
        data = _SIGN_IN.sub("", data.decode("utf-8", "replace")).encode()
    target.write_bytes(data)
