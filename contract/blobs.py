"""Bytes by content: a blob is a file named by the SHA-256 of what it holds, written once.

Nothing is deleted while a reader may still come: the garbage collection removes blobs that
no row names and that nobody has stored again for a while.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol

from django.conf import settings

from contract.errors import NoRoom, TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK = 1024 * 1024
DIGEST = re.compile("[0-9a-f]{64}")
INCOMING = "incoming"


class Readable(Protocol):
    """Anything with the ``read`` of a binary file; nothing read ends the blob."""

    def read(self, size: int, /) -> bytes | None: ...


def put(stream: Readable, limit: int, name_of: Callable[[], str] | None = None) -> tuple[str, int]:
    """Store what ``stream`` holds and return (SHA-256 in hex, size in bytes).

    ``name_of``, asked once all is read, names what is identified by something else: 64 digits in hex, too.
    Raises ``TooLarge`` beyond ``limit`` bytes, ``NoRoom`` if the disk is full; then nothing is kept. The blob is on
    disk when this returns.
    """
    with room("DATA_DIR/blobs"):
        return _put(stream, limit, name_of)


@contextmanager
def room(place: str) -> Iterator[None]:
    """Tell a full disk, which holds ``place``, from every other failure. Raises ``NoRoom``."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NoRoom(f"The disk that holds {place} is full; make room, then try again.") from error


def _put(stream: Readable, limit: int, name_of: Callable[[], str] | None) -> tuple[str, int]:
    incoming = _root() / INCOMING
    incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=incoming)
    try:
        with os.fdopen(descriptor, "wb") as target:
            digest, size = _copy(stream, target, limit)
            digest = name_of() if name_of else digest
            target.flush()
            os.fsync(target.fileno())
        _settle(Path(name), path(digest))
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    return digest, size


def _copy(stream: Readable, target: IO[bytes], limit: int) -> tuple[str, int]:
    hasher, size = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK):
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"The file is larger than {limit} bytes.")
        hasher.update(chunk)
        target.write(chunk)
    return hasher.hexdigest(), size


def _settle(incoming: Path, final: Path) -> None:
    """Give the blob its name. One that is there already gets a new time, so that it isn't collected."""
    final.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    incoming.replace(final)
    _make_last(final.parent)
    _make_last(final.parent.parent)  # another process may have made the folder and be about to do this


def _make_last(directory: Path) -> None:
    """Have the disk keep what the directory names."""
    held = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(held)
    finally:
        os.close(held)


def path(digest: str) -> Path:
    """Where the blob of a digest lies; the file need not exist. Raises ``FileNotFoundError`` for what is no digest."""
    if not DIGEST.fullmatch(digest):
        raise FileNotFoundError("no blob has such a name: it is not the hex of a SHA-256")
    return _root() / digest[:2] / digest


def open(digest: str) -> BinaryIO:  # noqa: A001  blobs.open reads as it should
    """The blob's bytes. Raises ``FileNotFoundError``."""
    return path(digest).open("rb")


def is_sound(digest: str) -> bool:
    """True if the blob is there and still holds what its name says. Reads all of it."""
    try:
        with path(digest).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == digest
    except OSError:
        return False


def touch(digest: str) -> None:
    """Give a blob a new time, because another row is about to name it."""
    with suppress(FileNotFoundError):
        os.utime(path(digest))


def exists(digest: str) -> bool:
    try:
        return path(digest).is_file()
    except FileNotFoundError:
        return False


def delete_untouched(digest: str, moment: float) -> bool:
    """Remove a blob, unless it was stored again or touched since ``moment``; whether it is gone by this."""
    with suppress(FileNotFoundError):
        file = path(digest)
        if file.stat().st_mtime < moment:
            file.unlink()
            return True
    return False


def untouched_since(moment: float) -> Iterator[str]:
    """Digests of blobs last stored before ``moment`` (seconds since the epoch)."""
    for file in _root().glob("??/*"):
        with suppress(FileNotFoundError):
            if DIGEST.fullmatch(file.name) and file.stat().st_mtime < moment:
                yield file.name


def drop_stale_incoming(moment: float) -> None:
    """Remove halves of uploads that a crash left behind before ``moment``."""
    for file in (_root() / INCOMING).glob("*"):
        with suppress(FileNotFoundError):
            if file.stat().st_mtime < moment:
                file.unlink()


def _root() -> Path:
    return Path(settings.HOLDFAST_BLOB_DIR)
