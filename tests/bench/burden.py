"""What an installation's processes burn: the figure that says something on a machine with other work on it, too."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.bench.figures import Figure

if TYPE_CHECKING:
    from tests.live import Installation


@dataclass(frozen=True)
class Taken:
    """Seconds of one core by role, and those of this process with the model in it."""

    roles: dict[str, float]
    own: float

    def figure(self, steps: int) -> Figure:
        """Milliseconds for each of so many steps; this process's are told, not counted."""
        each = {role: seconds * 1000 / max(steps, 1) for role, seconds in self.roles.items()}
        largest = sorted(each, key=lambda role: -each[role])[:5]
        note = ", ".join(f"{role} {each[role]:.1f}" for role in largest)
        own = self.own * 1000 / max(steps, 1)
        total = sum(each.values())
        return Figure("  processor time a step, all processes", total, "ms", note=f"{note}; the bench {own:.1f}")


class Burden:
    """Processor time by role since it was made, children that have ended included."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._own = time.process_time()
        self._before = self._seconds()

    def taken(self) -> Taken:
        own = time.process_time() - self._own
        return Taken({role: now - self._before.get(role, 0.0) for role, now in self._seconds().items()}, own)

    def figure(self, steps: int) -> Figure:
        """Milliseconds of one core for each of so many steps until now."""
        return self.taken().figure(steps)

    def _seconds(self) -> dict[str, float]:
        services = self._installation.all_pids()
        found: dict[str, float] = {}
        for name, pid in services.items():
            role = name.rstrip("0123456789")
            found[role] = found.get(role, 0.0) + _of_tree(pid, set(services.values()) - {pid})
        return found


def _of_tree(pid: int, without: set[int]) -> float:
    """Seconds of a process, its children, and their children that have ended; without other services among them."""
    try:
        process = psutil.Process(pid)
        tree = [process, *(child for child in process.children(recursive=True) if child.pid not in without)]
    except psutil.NoSuchProcess:
        return 0.0
    total = 0.0
    for one in tree:
        try:
            own_user, own_system, *children = one.cpu_times()[:4]
        except psutil.NoSuchProcess:
            continue
        total += max(own_user + own_system, _exactly(one.pid)) + sum(children)
    return total


def _exactly(pid: int) -> float:
    """Seconds of the threads that a process has now. The usual figures, which also know of those that have ended, come
    in hundredths, rounded down: of hundreds of sandboxes, each with processes of a few milliseconds, they saw nothing.
    """
    total = 0
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total += int(file.read_text(encoding="ascii").split()[0])
    return total / 1e9
