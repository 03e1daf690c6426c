"""What an installation's processes burn: the figure that says something on a machine with other work on it, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from tests.bench.figures import Figure

if TYPE_CHECKING:
    from tests.live import Installation


class Burden:
    """Processor time by role since it was made, children that have ended included."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._before = self._seconds()

    def figure(self, steps: int) -> Figure:
        """Milliseconds of one core for each of so many steps."""
        each = {role: seconds * 1000 / steps for role, seconds in self.spent().items()}
        largest = sorted(each, key=lambda role: -each[role])[:5]
        note = ", ".join(f"{role} {each[role]:.1f}" for role in largest)
        return Figure("  processor time a step, all processes", sum(each.values()), "ms", note=note)

    def spent(self) -> dict[str, float]:
        """Seconds of a processor by role so far."""
        return {role: now - self._before.get(role, 0.0) for role, now in self._seconds().items()}

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
            total += sum(one.cpu_times()[:4])  # own and waited-for children's, user and system
        except psutil.NoSuchProcess:
            continue
    return total
