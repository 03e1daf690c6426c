"""An image for sandboxes out of this machine's own packages: no registry is needed to test a container engine."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

WANTED = (
    "bash",
    "dash",
    "coreutils",
    "findutils",
    "grep",
    "sed",
    "mawk",
    "tar",
    "gzip",
    "python3",
    "procps",
    "util-linux",
)
ALSO = ("ca-certificates", "curl", "diffutils", "git", "hostname", "libc-bin", "base-files", "passwd")
_LEFT_OUT = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/info/", "/usr/share/perl")
_LINKS = ("/bin", "/sbin", "/lib", "/lib64")
_DIRECTORIES = ("/dev", "/proc", "/sys", "/run", "/tmp", "/etc", "/mnt", "/opt", "/home", "/root", "/var/lib")
_MADE = (
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/alternatives/awk",
    "/usr/bin/awk",
    "/etc/ssl/certs/ca-certificates.crt",
)


def write(path: Path) -> None:
    """Write the image's root directory as a tar file. Needs Debian's dpkg."""
    seen: set[str] = set()
    with tarfile.open(path, "w") as archive:
        for name in _DIRECTORIES:
            for each in [*reversed(Path(name).parents), Path(name)][1:]:
                _add(archive, str(each), seen, made=True)
        for name in (*_LINKS, *_files(), *_MADE):
            _add(archive, name, seen)


def _add(archive: tarfile.TarFile, name: str, seen: set[str], *, made: bool = False) -> None:
    """Every file once, under its real directory: packages name files by links such as ``/bin``."""
    place = Path(name).parent.resolve() / Path(name).name
    if str(place) in seen or place == Path("/") or not os.path.lexists(place):
        return
    seen.add(str(place))
    if made or (place.is_dir() and not place.is_symlink()):
        entry = tarfile.TarInfo(str(place)[1:])
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(entry)
    elif place.is_symlink() or place.is_file():
        archive.add(place, str(place)[1:], recursive=False, filter=_plain)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    return entry


def _files() -> Iterator[str]:
    for line in _output("dpkg", "-L", *_closure({*WANTED, *ALSO})).splitlines():
        if line.startswith("/") and line != "/." and not line.startswith(_LEFT_OUT):
            yield line


def _closure(names: set[str]) -> set[str]:
    """The packages and what they depend on, as far as it is installed here."""
    needs: dict[str, list[str]] = {}
    for line in _output("dpkg-query", "-W", "-f", "${Package}|${Depends}, ${Pre-Depends}\\n").splitlines():
        name, _, depends = line.partition("|")
        needs[name] = [one.split()[0].partition(":")[0] for one in depends.replace("|", ",").split(",") if one.strip()]
    found: set[str] = set()
    pending = [name for name in names if name in needs]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += [one for one in needs[name] if one in needs]
    return found


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
