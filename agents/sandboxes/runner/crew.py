"""Threads that wait for more work: started when one is needed, kept because starting costs more than waking.

By locks alone: the interpreter's own queue is a library of its own to load.
"""

from __future__ import annotations

from .bare import Lock, in_background

KEPT = 4  # threads that may rest; further ones end with their work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Crew:
    """At most ``most`` threads that do ``work``; further jobs wait in their order."""

    def __init__(self, work: Callable[[Any], None], most: int) -> None:
        self._work, self._left = work, most
        self._lock = Lock()
        self._resting: list[_Place] = []
        self._waiting: list[Any] = []

    def give(self, job: Any) -> None:
        """Have it done. Raises ``RuntimeError`` if that takes a thread more, and there can't be one."""
        with self._lock:
            if self._resting:
                self._resting.pop().take(job)  # the one that worked last: its memory is still near
                return
            if not self._left:
                self._waiting.append(job)
                return
            self._left -= 1
        try:
            in_background(self._live, job)
        except RuntimeError:
            with self._lock:
                self._left += 1
            raise

    def _live(self, job: Any) -> None:
        place = _Place()
        while True:
            self._work(job)
            with self._lock:
                if self._waiting:
                    job = self._waiting.pop(0)
                    continue
                if len(self._resting) == KEPT:
                    self._left += 1
                    return
                self._resting.append(place)
            job = place.rest()


class _Place:
    """Where one thread waits."""

    def __init__(self) -> None:
        self._bell, self._job = Lock(), None
        self._bell.acquire()

    def take(self, job: Any) -> None:
        self._job = job
        self._bell.release()

    def rest(self) -> Any:
        self._bell.acquire()
        job, self._job = self._job, None
        return job
