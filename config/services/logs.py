"""Log files of children: appended to, turned over at a size, so that a year of running fills no disk."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 5 * 1024 * 1024
KEPT = 3
TAIL_LINES = 15


class BoundedLog:
    """`name.log`, with `name.log.1` … `.3` behind it, and the last lines in memory for an error message."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._open()

    def _open(self) -> None:
        self.path.touch(mode=0o600)
        self._file = self.path.open("ab", buffering=0)
        self._size = self._file.tell()

    def write(self, data: bytes) -> None:
        if self._size + len(data) > self.max_bytes:
            self._turn_over()
        self._file.write(data)
        self._size += len(data)
        self.tail.extend(line for line in data.decode("utf-8", "replace").splitlines() if line.strip())

    def _turn_over(self) -> None:
        self._file.close()
        for number in range(KEPT, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            newer = self.path if number == 1 else self.path.with_name(f"{self.path.name}.{number - 1}")
            if newer.exists():
                newer.replace(older)
        self._open()

    def close(self) -> None:
        self._file.close()
