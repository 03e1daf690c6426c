"""The two things the demo remembers, both bounded, per server process.

``Strikes`` makes "fail N times, then work" possible, which no function of the request alone
can do: it counts how often a request asked to fail has failed. The count belongs to the text
of the message, so two sessions that send the same words at the same time share it, and every
process counts for itself; a word of its own in the message (``id=7``) keeps it apart. Once
the Nth failure is through the count is forgotten, so the same message fails again next time.

``PrefixCache`` remembers which prompt prefixes were marked for caching in the last five
minutes or hour. It decides only the cache fields of ``usage``.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from agents.providers.demo.tokens import Segment

LIFETIMES = {"5m": 300.0, "1h": 3_600.0}


class Strikes:
    """Counts per key; the oldest keys go when there are more than ``limit``."""

    def __init__(self, limit: int = 4_096) -> None:
        self._counts: OrderedDict[Hashable, int] = OrderedDict()
        self._limit = limit
        self._lock = threading.Lock()

    def strikes(self, key: Hashable, times: int | None) -> bool:
        """Whether it is to fail this time: True ``times`` times, then False once, and so on.
        ``None`` means always.
        """
        if times is None:
            return True
        with self._lock:
            count = self._counts.pop(key, 0)
            if count >= times:
                return False
            self._put(key, count + 1)
            return True

    def count(self, key: Hashable) -> int:
        """How often it was asked before, this time not included."""
        with self._lock:
            count = self._counts.pop(key, 0)
            self._put(key, count + 1)
            return count

    def forget(self, key: Hashable) -> None:
        with self._lock:
            self._counts.pop(key, None)

    def _put(self, key: Hashable, count: int) -> None:
        self._counts[key] = count
        while len(self._counts) > self._limit:
            self._counts.popitem(last=False)


class PrefixCache:
    """Digests of cached prefixes with their end of life."""

    def __init__(self, limit: int = 8_192, clock: Callable[[], float] = time.monotonic) -> None:
        self._ends: OrderedDict[bytes, float] = OrderedDict()
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()

    def usage(self, segments: list[Segment]) -> dict[str, int]:
        """The input side of ``usage`` for a prompt, and the prompt's marks remembered:
        ``input_tokens``, ``cache_read``, ``5m`` and ``1h`` (tokens written).
        """
        now = self._clock()
        with self._lock:
            read = self._longest(segments, now)
            written = {"5m": 0, "1h": 0}
            covered = read
            for segment in segments:
                if segment.ttl is None:
                    continue
                ttl = segment.ttl if segment.ttl in LIFETIMES else "5m"
                written[ttl] += max(segment.tokens - covered, 0)
                covered = max(covered, segment.tokens)
                self._keep(segment.digest, now + LIFETIMES[ttl])
        total = segments[-1].tokens
        return {"input_tokens": total - covered, "cache_read": read, **written}

    def _longest(self, segments: list[Segment], now: float) -> int:
        if not any(segment.ttl for segment in segments):
            return 0
        for segment in reversed(segments):
            end = self._ends.get(segment.digest, 0.0)
            if end > now:
                return segment.tokens
        return 0

    def _keep(self, digest: bytes, end: float) -> None:
        self._ends[digest] = max(end, self._ends.pop(digest, 0.0))
        while len(self._ends) > self._limit:
            self._ends.popitem(last=False)
