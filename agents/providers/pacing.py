"""How many requests a model's server gets from this process at a time: more while it copes, half when it pushes back.

Additive increase, multiplicative decrease, as TCP does: each worker adapts by itself to what the server has left for
it, so a fan-out of many sessions is slowed down instead of failing together, and no worker need know of another.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FEWEST = 1.0
HALVED_EVERY_SECONDS = 0.25  # what was under way when the server first pushed back says nothing new
LONGEST_HOLD_SECONDS = 30.0


class Pace:
    """The requests of one model. ``most``: never more at a time than that. Thread-safe."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = float(most), clock
        self._limit = float(most)
        self._running = 0
        self._halved_at = -HALVED_EVERY_SECONDS
        self._held_until = 0.0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """How many requests may be under way now."""
        return int(self._limit)

    @property
    def held(self) -> float | None:
        """For how many seconds the server wants no request yet; None if it doesn't mind."""
        left = self._held_until - self._clock()
        return left if left > 0 else None

    def take(self, seconds: float) -> bool:
        """Take a place, waiting so long at most; false if there was none."""
        deadline = self._clock() + seconds
        with self._changed:
            while self._running >= self.limit or self._clock() < self._held_until:
                left = deadline - self._clock()
                if left <= 0:
                    return False
                held = self._held_until - self._clock()
                self._changed.wait(min(left, held) if held > 0 else left)
            self._running += 1
            return True

    def give_back(self) -> None:
        """The request is over."""
        with self._changed:
            self._running -= 1
            self._changed.notify()

    def coped(self) -> None:
        """The server answered: one more at a time for every ``limit`` answers."""
        with self._changed:
            self._limit = min(self._most, self._limit + 1.0 / max(self._limit, 1.0))
            self._changed.notify()

    def pushed_back(self, retry_after: float | None) -> None:
        """The server has too much to do: half as many, and none before it wants to be asked again."""
        with self._changed:
            now = self._clock()
            if now - self._halved_at >= HALVED_EVERY_SECONDS:
                self._halved_at = now
                self._limit = max(FEWEST, min(self._limit, float(self._running)) / 2)
            if retry_after:
                self._held_until = max(self._held_until, now + min(retry_after, LONGEST_HOLD_SECONDS))
