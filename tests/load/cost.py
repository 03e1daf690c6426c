"""What a question costs the database: processor time of the process that serves this thread's connection."""

from __future__ import annotations

import contextlib
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil
from django.db import connection

if TYPE_CHECKING:
    from collections.abc import Callable

WARM = 5


class Cost(NamedTuple):
    """Microseconds a call: of the database's processor, on average, and by the clock here, the median."""

    processor: float
    clock: float


def cost(work: Callable[[int], object], times: int) -> Cost:
    """``work`` is called with 0, 1, 2 …; the first calls, which plan and fill caches, aren't counted."""
    for number in range(WARM):
        work(number)
    taken, before = [], _spent(_backend())
    for number in range(WARM, WARM + times):
        begun = time.perf_counter()
        work(number)
        taken.append((time.perf_counter() - begun) * 1e6)
    return Cost((_spent(_backend()) - before) / times, statistics.median(taken))


def once(work: Callable[[], object]) -> float:
    """Seconds of the database's processor."""
    before = _spent(_backend())
    work()
    return (_spent(_backend()) - before) / 1e6


class Server:
    """The whole database server of this thread's connection, since this was made."""

    def __init__(self) -> None:
        self._process = psutil.Process(_backend()).parent()
        self._before = self._seconds()

    def spent(self) -> float:
        """Seconds of a processor: of the server, its children, and those of them that have ended."""
        return self._seconds() - self._before

    def _seconds(self) -> float:
        assert self._process is not None, "the database's server is not on this machine"
        total = sum(self._process.cpu_times()[:4])
        for child in self._process.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += sum(child.cpu_times()[:4])
        return float(total)


def _backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def _spent(pid: int) -> float:
    """Microseconds on a processor so far, by the kernel's own count (its ticks are too coarse for one question)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1000
