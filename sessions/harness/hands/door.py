"""One thread of a session at a time makes its sandbox ready.

Threads that share a sandbox must not overtake each other there: a second one could work before the repositories are
checked out, or take a sandbox that lost its files for one that never had a call. So whoever opens holds the door until
what that needs to say is on the log.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from sessions.harness.lease import dsn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOOR_LOCK_CLASS = 0x4844  # "HD"
LOOK_SECONDS = 0.05
AT_ONCE = 16  # doors that a process holds: each takes a connection

_held: set[str] = set()
_changed = threading.Condition()


@contextmanager
def door(session_id: str, give_up: Callable[[], bool]) -> Iterator[None]:
    """Wait until nobody else is at the session's door, and stay there. ``give_up`` ends the waiting, not the work.

    The lock is on a connection of its own, as waits give back the turn's; it ends with its process.
    """
    if not _enter(session_id, give_up):
        yield
        return
    try:
        with psycopg.connect(**dsn(), autocommit=True, connect_timeout=5) as link:
            while not _taken(link, session_id) and not give_up():
                time.sleep(LOOK_SECONDS)
            yield
    finally:
        with _changed:
            _held.discard(session_id)
            _changed.notify_all()


def _enter(session_id: str, give_up: Callable[[], bool]) -> bool:
    """Wait for the threads of this process, without a connection. False if the waiting was given up."""
    with _changed:
        while session_id in _held or len(_held) >= AT_ONCE:
            if give_up():
                return False
            _changed.wait(LOOK_SECONDS)
        _held.add(session_id)
        return True


def _taken(link: psycopg.Connection[tuple[bool]], session_id: str) -> bool:
    row = link.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [DOOR_LOCK_CLASS, session_id]).fetchone()
    return bool(row and row[0])
