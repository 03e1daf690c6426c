"""Packing and unpacking of a sandbox's files, run inside it so that no path can lead out.

Members are regular files, directories, and symbolic or hard links below a few known roots.
Devices and FIFOs are left out and set-user-id bits are dropped, in both directions.
"""

from __future__ import annotations

import contextlib
import os
import tarfile
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Sequence

BUFFER = 64 * 1024


def pack(roots: Sequence[str], out: BinaryIO) -> None:
    """Write a tar of ``roots`` (absolute paths), member names without the leading slash."""
    with tarfile.open(fileobj=out, mode="w|", bufsize=BUFFER, format=tarfile.PAX_FORMAT) as tar:
        for root in roots:
            _add(tar, root)


def _add(tar: tarfile.TarFile, root: str) -> None:
    for directory, names, leaves in os.walk(root):
        links = [n for n in names if os.path.islink(os.path.join(directory, n))]
        for path in [directory] + [os.path.join(directory, n) for n in sorted(links + leaves)]:
            _add_one(tar, path)
        names.sort()


def _add_one(tar: tarfile.TarFile, path: str) -> None:
    try:
        member = _plain(tar.gettarinfo(path, arcname=path.lstrip("/")))
        if member is None:
            return
        if not member.isreg():
            tar.addfile(member)
            return
        with open(path, "rb") as handle:
            # Taken again: the file may have changed; addfile copies exactly this many bytes.
            member.size = os.fstat(handle.fileno()).st_size
            tar.addfile(member, _Padded(handle))
    except (PermissionError, FileNotFoundError, UnicodeError):
        return  # what its owner can't read, or took away meanwhile, is in no snapshot


class _Padded:
    """A file that goes on with zeros where it ends: it may be cut while it is read, and its size is announced."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle

    def read(self, size: int = -1, /) -> bytes:
        return self._handle.read(size).ljust(size, b"\0")


def _plain(member: tarfile.TarInfo | None) -> tarfile.TarInfo | None:
    if member is None or not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        return None
    member.mode &= 0o777
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def unpack(roots: Sequence[str], source: BinaryIO) -> None:
    """Extract what lies below ``roots``; a member elsewhere is an error, never skipped in silence."""
    allowed = [root.strip("/") for root in roots]
    with tarfile.open(fileobj=source, mode="r|", bufsize=BUFFER) as tar:
        for member in tar:
            plain = _plain(member)
            if plain is None:
                continue
            _check(member.name, allowed)
            if member.islnk():
                _check(member.linkname, allowed)
            _extract(tar, member)


def _check(name: str, allowed: Sequence[str]) -> None:
    parts = name.split("/")
    below = any(name == root or name.startswith(root + "/") for root in allowed)
    if name.startswith("/") or ".." in parts or not below:
        raise ValueError(f"member outside of the sandbox's own directories: {name[:200]!r}")


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    target = "/" + member.name
    if member.isdir():
        os.makedirs(target, exist_ok=True)
        os.chmod(target, member.mode | 0o700)
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.lexists(target):
        os.unlink(target)
    if member.issym():
        os.symlink(member.linkname, target)
        return
    if member.islnk():
        with contextlib.suppress(FileNotFoundError):  # the first of its names could not be read when it was packed
            os.link("/" + member.linkname, target, follow_symlinks=False)
        return
    content = tar.extractfile(member)
    assert content is not None
    with open(target, "wb") as handle:
        while True:
            piece = content.read(BUFFER)
            if not piece:
                break
            handle.write(piece)
    os.chmod(target, member.mode)
    os.utime(target, (member.mtime, member.mtime))
