"""Zip archives of skills: read from strangers under hard limits, written the same for the same content."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.skills import paths
from contract.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_FILES = 1_000
MAX_BYTES = 30 * 1024 * 1024
CHUNK = 256 * 1024
MAGIC = b"PK\x03\x04"
DIRECTORY_RECORD = b"PK\x01\x02"
NESTED = 20  # archives inside the archive have records of their own; so many times our limit is still read
UNIX_HOSTS = (3, 19)
PLAIN_TYPES = (0, stat.S_IFREG, stat.S_IFDIR)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1
EPOCH = (1980, 1, 1, 0, 0, 0)
BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip
TOO_LARGE = f"files: must be at most {MAX_BYTES // 1024 // 1024} MB in total, uncompressed"
TOO_MANY = f"files: at most {MAX_FILES} files are allowed"
UNREADABLE = "files: this is not a zip archive that can be read"


@dataclass(frozen=True, slots=True)
class Member:
    """One file: its path, its bytes, and whether it may be run."""

    path: str
    data: bytes
    executable: bool


def unpack(data: bytes) -> list[Member]:
    """The files of an archive; directories are left out. Nothing touches the disk.

    Raises ``InvalidRequest`` for links, devices, encryption, escapes, and beyond the limits: sizes are those of
    the bytes that come out, whatever the archive says of itself.
    """
    if data.count(DIRECTORY_RECORD) > MAX_FILES * NESTED:
        raise InvalidRequest(TOO_MANY)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as source:
            return list(_members(source))
    except InvalidRequest:
        raise
    except BROKEN:
        raise InvalidRequest(UNREADABLE) from None


def _members(source: zipfile.ZipFile) -> Iterator[Member]:
    infos = source.infolist()
    if len(infos) > MAX_FILES * 2:  # directories have entries too
        raise InvalidRequest(TOO_MANY)
    if sum(info.file_size for info in infos) > MAX_BYTES:
        raise InvalidRequest(TOO_LARGE)
    room = MAX_BYTES
    for info in infos:
        path = _check(info)
        if info.is_dir() or paths.is_litter(path):
            continue
        content = _read(source, info, room)
        room -= len(content)
        yield Member(path, content, bool(_mode(info) & 0o111))


def _check(info: zipfile.ZipInfo) -> str:
    name = info.filename
    if "\x00" in info.orig_filename:
        raise paths.refused(name, "must not contain control characters")
    path = paths.checked(name)
    if stat.S_IFMT(_mode(info)) not in PLAIN_TYPES:
        raise paths.refused(name, "is a link or a device; only files and directories are allowed")
    if info.flag_bits & ENCRYPTED:
        raise paths.refused(name, "is encrypted")
    if info.compress_type not in METHODS:
        raise paths.refused(name, "is compressed by a method other than deflate")
    return path


def _mode(info: zipfile.ZipInfo) -> int:
    return info.external_attr >> 16 if info.create_system in UNIX_HOSTS else 0


def _read(source: zipfile.ZipFile, info: zipfile.ZipInfo, room: int) -> bytes:
    """A file's bytes, at most ``room`` of them."""
    gathered = bytearray()
    with source.open(info) as stream:
        while chunk := stream.read(CHUNK):
            gathered += chunk
            if len(gathered) > room:
                raise InvalidRequest(TOO_LARGE)
    return bytes(gathered)


def pack(directory: str, members: Iterable[Member]) -> bytes:
    """A zip with every file below ``directory``; equal members make equal bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for member in sorted(members, key=lambda one: one.path):
            info = zipfile.ZipInfo(f"{directory}/{member.path}", EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = UNIX_HOSTS[0]
            info.external_attr = (stat.S_IFREG | (0o755 if member.executable else 0o644)) << 16
            target.writestr(info, member.data)
    return out.getvalue()
