"""Whether records of a session wait to be taken over, where its workers see it without a question to the proxy.

A file beside the proxy's socket, mapped by both sides: so many numbers, each the count of the records of the sessions
that share it. Workers look after every call in a sandbox, and most calls use no network.
"""

from __future__ import annotations

import mmap
import os
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SLOTS = 65_536
BYTES = SLOTS * 4  # as C's unsigned integers


class Board:
    """The proxy's side. The file is kept from one proxy to the next, so that what workers have mapped stays true."""

    def __init__(self, socket: Path) -> None:
        """Raises ``OSError``."""
        descriptor = os.open(_file(socket), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, BYTES)
            self._numbers = memoryview(mmap.mmap(descriptor, BYTES)).cast("I")
        finally:
            os.close(descriptor)
        for slot in range(SLOTS):
            self._numbers[slot] = 0  # what an earlier proxy had is gone with it

    def change(self, session_id: str, by: int) -> None:
        """So many records of a session came, or went."""
        self._numbers[_slot(session_id)] += by


def may_have_records(socket: Path, session_id: str) -> bool:
    """False if the proxy at ``socket`` keeps no record of a session. True if it does, or if that can't be told."""
    file = _file(socket)
    try:
        numbers = _mapped(file, file.stat().st_ino)
    except (OSError, ValueError):
        return True
    return numbers[_slot(session_id)] != 0


@lru_cache(maxsize=4)
def _mapped(file: Path, inode: int) -> memoryview[int]:
    with file.open("rb") as stream:
        if os.fstat(stream.fileno()).st_ino != inode:
            raise OSError("it was replaced meanwhile")
        return memoryview(mmap.mmap(stream.fileno(), BYTES, access=mmap.ACCESS_READ)).cast("I")


def _file(socket: Path) -> Path:
    return socket.with_name(f"{socket.name}.board")


def _slot(session_id: str) -> int:
    return zlib.crc32(session_id.encode()) % SLOTS
