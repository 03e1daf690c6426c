"""Finding and ending processes inside the sandbox by /proc."""

from __future__ import annotations

import contextlib
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def children_of(pid: int) -> list[int]:
    """Direct children; falls back to a scan where the kernel does not list them."""
    found: list[int] = []
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, task), "rb") as handle:
                found += [int(word) for word in handle.read().split()]
    except OSError:
        return [p for p in _all_pids() if _field(p, 1) == pid]
    return found


def kill_tree(pid: int) -> None:
    """Kill a process and its descendants; stopping it first keeps it from forking on."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGSTOP)
    for child in children_of(pid):
        kill_tree(child)
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def kill_session(session: int) -> None:
    """Kill every process of a terminal session."""
    for pid in _all_pids():
        if pid == session or _field(pid, 3) == session:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _all_pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _field(pid: int, index: int) -> int:
    """A number of /proc/PID/stat after the name: 1 parent, 2 group, 3 session."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as handle:
            return int(handle.read().rpartition(b")")[2].split()[index])
    except (OSError, ValueError, IndexError):
        return -1
