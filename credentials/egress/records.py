"""What became of every request, without a value: kept until the session's worker has taken it over."""

from __future__ import annotations

import time
import uuid
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

KEPT = 200


@dataclass(slots=True)
class Record:
    """One request. ``method`` is ``CONNECT`` where a tunnel was not opened. Sizes in bytes of content or tunnel.

    ``credentials`` are the ids of those whose secret went out with it.
    """

    host: str
    port: int
    method: str
    decision: Literal["allowed", "denied", "failed"]
    rule: str
    status: int | None = None
    bytes_sent: int = 0
    bytes_received: int = 0
    credentials: list[str] = field(default_factory=list)
    opened: bool = False
    id: str = field(default_factory=lambda: f"egr_{uuid.uuid4().hex}")
    at: float = field(default_factory=time.time)

    def json(self) -> dict[str, Any]:
        return asdict(self)


class Records:
    """The newest records of a session that were not yet taken over; the others are counted."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, Record]] = deque()
        self._number = 0
        self.omitted = 0

    def add(self, record: Record) -> None:
        self._number += 1
        self._kept.append((self._number, record))
        if len(self._kept) > KEPT:
            self._kept.popleft()
            self.omitted += 1

    def take(self, after: int) -> tuple[int, list[Record]]:
        """Everything after number ``after`` and the last number; what lies before was stored and is forgotten."""
        while self._kept and self._kept[0][0] <= after:
            self._kept.popleft()
        return self._number, [record for _, record in self._kept]
