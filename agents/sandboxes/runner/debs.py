"""Debian packages below a directory, without root: ``… debs PLACE NAME…`` inside the sandbox that makes a package set.

apt finds out what is needed and checks every signature, with state and cache of its own; ``dpkg-deb`` takes the
packages apart. Their set-up scripts are not run: of what those do only the links of ``update-alternatives`` are made,
and the packages that have other scripts are named in what is printed.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WORK = Path("/tmp/apt")  # noqa: S108 - a name inside the sandbox
MAX_BYTES = 1024**3  # of packages to download, together
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # links to the same below usr, as on the machine
_URI = re.compile(r"^'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) ", re.MULTILINE)
_SETTINGS = {
    "Dir::State": WORK / "state",
    "Dir::State::status": "/var/lib/dpkg/status",
    "Dir::Cache": WORK / "cache",
    "Debug::NoLocking": "1",
    "APT::Get::AllowUnauthenticated": "false",
    "APT::Install-Recommends": "false",
    "Acquire::AllowInsecureRepositories": "false",
    "Acquire::AllowDowngradeToInsecureRepositories": "false",
    "Acquire::Languages": "none",
    "Acquire::Retries": "2",
    "Acquire::http::Timeout": "30",
    "Acquire::https::Timeout": "30",
}


class Fault(Exception):
    """Why packages can't be installed, in words for the session's timeline."""


def main(arguments: Sequence[str]) -> int:
    place, *names = arguments
    try:
        told = install(Path(place), names)
    except Fault as fault:
        sys.stdout.write(f"{fault}\n")
        return 1
    sys.stdout.write(f"{told}\n")
    return 0


def install(place: Path, names: Sequence[str]) -> str:
    """Put the packages and what they need below ``place``; returns what was done, and whose set-up was left out."""
    for directory in (WORK / "state/lists/partial", WORK / "cache/archives/partial"):
        directory.mkdir(parents=True, exist_ok=True)
    warned = _apt("update")
    wanted = ("install", "--yes", "--no-remove", *names)
    try:
        _weigh(place, _apt("--print-uris", *wanted))
        _apt("--download-only", *wanted)
    except Fault as fault:
        lines = dict.fromkeys(f"{warned}\n{fault}".splitlines())  # each once
        raise Fault("\n".join(lines).strip()) from None
    for name in MERGED:
        (place / "usr" / name).mkdir(parents=True, exist_ok=True)
        (place / name).symlink_to(f"usr/{name}")
    packages = sorted((WORK / "cache/archives").glob("*.deb"))
    for package in packages:
        _unpack(package, place)
    unset = _link_alternatives(place, packages)
    shutil.rmtree(WORK, ignore_errors=True)
    left_out = f" Set-up scripts were not run, of: {', '.join(unset)}." if unset else ""
    return f"Unpacked {len(packages)} packages.{left_out}"


def _weigh(place: Path, printed: str) -> None:
    found = list(_URI.finditer(printed))
    size = sum(int(one["size"]) for one in found)
    if size > MAX_BYTES:
        raise Fault(
            f"The packages and what they need are {size / 1e6:,.0f} MB to download, more than the limit of "
            f"{MAX_BYTES / 1e6:,.0f} MB."
        )
    # Where programs find the set by LD_LIBRARY_PATH, a C library that isn't their loader's would end every one of them.
    if str(place) in os.environ.get("LD_LIBRARY_PATH", "") and any(one["file"].startswith("libc6_") for one in found):
        raise Fault("The packages need another libc6 than the sandbox's own; use an image that holds it.")


def _apt(*arguments: str) -> str:
    """What apt-get prints; raises ``Fault`` with its last words."""
    options = [part for name, value in _SETTINGS.items() for part in ("-o", f"{name}={value}")]
    bundle = os.environ.get("SSL_CERT_FILE")
    options += ["-o", f"Acquire::https::CaInfo={bundle}"] if bundle else []
    done = subprocess.run(
        ["apt-get", "-qq", *options, *arguments],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    said = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode:
        raise Fault("\n".join(line for line in said.splitlines() if not line.startswith("'")) or "apt-get failed.")
    return said


def _unpack(package: Path, place: Path) -> None:
    """The files of a package, in our own name. Links to directories stay: what belongs into them goes there."""
    reading = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], env=_environment(), stdout=subprocess.PIPE)
    writing = subprocess.run(
        ["tar", "-x", "--no-same-owner", "--no-same-permissions", "--keep-directory-symlink", "-C", place],
        env=_environment(),
        stdin=reading.stdout,
        stderr=subprocess.PIPE,
        check=False,
    )
    if reading.stdout is not None:
        reading.stdout.close()
    if reading.wait() or writing.returncode:
        raise Fault(f"{package.name} could not be unpacked: {writing.stderr.decode('utf-8', 'replace').strip()}")


def _link_alternatives(place: Path, packages: Sequence[Path]) -> list[str]:
    """Make the links that set-up scripts would, the one of highest priority first."""
    links: set[tuple[int, str, str]] = set()
    unset: list[str] = []
    for package in packages:
        script = _script(package)
        found = set(alternatives(script))
        links |= found
        if script and not found:
            unset.append(package.name.partition("_")[0])
    for _priority, link, target in sorted(links, reverse=True):
        here = place / link.lstrip("/")
        if (place / target.lstrip("/")).exists() and not os.path.lexists(here) and not os.path.lexists(link):
            here.parent.mkdir(parents=True, exist_ok=True)
            here.symlink_to(os.path.relpath(target, Path(link).parent))
    return unset


def _script(package: Path) -> str:
    done = subprocess.run(
        ["dpkg-deb", "--info", package, "postinst"],
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.stdout.decode("utf-8", "replace")


def alternatives(script: str) -> Iterator[tuple[int, str, str]]:
    """Priority, link and target of each ``update-alternatives --install`` that a script spells out."""
    for line in script.replace("\\\n", " ").splitlines():
        if "update-alternatives" not in line or "--install" not in line:
            continue
        try:
            words = [word.rstrip(";") for word in shlex.split(line, comments=True)]
        except ValueError:
            continue
        priority = 0
        for at, word in enumerate(words):
            if word == "--install" and words[at + 4 : at + 5] and words[at + 4].isdigit():
                priority = int(words[at + 4])
            if word in ("--install", "--slave") and len(words) > at + 3:
                link, target = words[at + 1], words[at + 3]
                if _is_plain(link) and _is_plain(target):
                    yield priority, link, target


def _is_plain(path: str) -> bool:
    return path.startswith("/usr/") and ".." not in path and "$" not in path and "`" not in path


def _environment() -> dict[str, str]:
    """Ours, in English, and without libraries of packages that are just being unpacked."""
    kept = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    return {**kept, "LC_ALL": "C.UTF-8"}
