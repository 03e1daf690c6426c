"""Appends to one session's log by the threads of this process: one after the other, before the database is asked.

They would wait for each other in the database as well, where each waits with a connection, and is woken to find the
row changed and to look for its newest version, once for every one before it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db import connection

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_SECONDS = 30.0  # then the database's own order has to do


@dataclass(slots=True)
class _Door:
    """A lock that is there while somebody wants it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    wanted_by: int = 0


_doors: dict[str, _Door] = {}
_doors_lock = threading.Lock()


@contextmanager
def alone(session_id: str) -> Iterator[None]:
    """Alone among this process's threads while the block runs.

    Not for who is in a transaction already: its rows may be what the one before it waits for.
    """
    if connection.in_atomic_block:
        yield
        return
    with _doors_lock:
        door = _doors.setdefault(session_id, _Door())
        door.wanted_by += 1
    entered = door.lock.acquire(timeout=WAIT_SECONDS)
    try:
        yield
    finally:
        if entered:
            door.lock.release()
        with _doors_lock:
            door.wanted_by -= 1
            if not door.wanted_by:
                del _doors[session_id]
