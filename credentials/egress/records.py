"""What became of every request, without a value: kept until the session's worker has taken it over."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from contract import ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

KEPT = 500
TAKEN_SECONDS = 60.0


@dataclass(slots=True)
class Record:
    """One request. ``method`` is ``CONNECT`` where a tunnel was not opened. Sizes in bytes of content or tunnel.

    ``credentials`` are the ids of those whose secret went out with it. ``id`` is the one its event will have.
    ``over``: nothing of it will change any more.
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
    over: bool = False
    id: str = field(default_factory=ids.event_id)
    at: float = field(default_factory=time.time)

    def json(self) -> dict[str, Any]:
        return asdict(self)


class Records:
    """The newest records of a session that were not yet taken over; the others are counted.

    A record is handed to one taker at a time: a session may have several threads at work. One that isn't heard of
    again is taken for dead after ``TAKEN_SECONDS``.
    """

    def __init__(self, changed: Callable[[int], None]) -> None:
        """``changed`` is told how many records came, or went (negative), before anybody else can know of it."""
        self._changed = changed
        self._kept: dict[str, Record] = {}
        self._taken: dict[str, tuple[str, float]] = {}
        self.omitted = 0

    def add(self, record: Record) -> None:
        if record.id not in self._kept:
            self._changed(1)
        self._kept[record.id] = record
        if len(self._kept) > KEPT:
            self._drop(next(iter(self._kept)))
            self.omitted += 1

    @property
    def under_way(self) -> bool:
        return any(not record.over for record in self._kept.values())

    def take(
        self, taker: str, seen: Iterable[str], *, unfinished_before: float | None = None
    ) -> list[tuple[Record, bool]]:
        """Forget those ``seen``, which were stored; then everything that is over, or everything that began before.

        Beside each record: whether another taker had it before, and may have stored it.
        """
        for record_id in seen:
            self._drop(record_id)
        now, found = time.monotonic(), []
        for record in self._kept.values():
            other, at = self._taken.get(record.id, (taker, now))
            wanted = record.over if unfinished_before is None else record.at < unfinished_before
            if wanted and (other == taker or now - at > TAKEN_SECONDS):
                self._taken[record.id] = (taker, now)
                found.append((record, other != taker))
        return found

    def clear(self) -> None:
        for record_id in list(self._kept):
            self._drop(record_id)

    def _drop(self, record_id: str) -> None:
        if self._kept.pop(record_id, None) is not None:
            self._changed(-1)
        self._taken.pop(record_id, None)
