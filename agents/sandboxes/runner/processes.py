"""Starting processes inside the sandbox, finding them by /proc, and ending them."""

from __future__ import annotations

import os
import time

from .bare import IGNORED_BY_PYTHON, SIGKILL, SIGSTOP, Suppressed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WAIT_SECONDS = 0.002  # between two looks for a process that is to end


class Child:
    """A process of ours in a terminal session of its own; spawned, which copies nothing of this one."""

    def __init__(
        self, argv: tuple[str, ...], environment: Mapping[str, str], stdin: int, terminal: str, also: tuple[int, int]
    ) -> None:
        """``terminal`` becomes its controlling terminal and its output; ``also``: a descriptor, its number there."""
        actions = (
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_OPEN, 1, terminal, os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            (os.POSIX_SPAWN_DUP2, *also),
        )
        self.pid = os.posix_spawn(
            argv[0], argv, environment, file_actions=actions, setsid=True, setsigdef=IGNORED_BY_PYTHON
        )
        self.status: int | None = None  # as ``subprocess`` tells it: negative for a signal

    def poll(self) -> int | None:
        """Its exit status once it has ended."""
        if self.status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has waited for it
                self.status = 0
            else:
                self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status

    def wait(self, seconds: float) -> int | None:
        """Its exit status, None if it doesn't end in time."""
        deadline = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(WAIT_SECONDS)
        return self.status


def children_of(pid: int) -> list[int]:
    """Direct children; falls back to a scan where the kernel does not list them."""
    found: list[int] = []
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            found += [int(word) for word in whole("/proc/%d/task/%s/children" % (pid, task)).split()]
    except OSError:
        return [p for p in _all_pids() if _field(p, 1) == pid]
    return found


def children_of_one(pid: int) -> list[int]:
    """Direct children of a process that has one thread."""
    try:
        return [int(word) for word in whole("/proc/%d/task/%d/children" % (pid, pid)).split()]
    except OSError:
        return children_of(pid)


def kill_tree(pid: int) -> None:
    """Kill a process and its descendants; stopping it first keeps it from forking on."""
    with Suppressed(OSError):
        os.kill(pid, SIGSTOP)
    for child in children_of(pid):
        kill_tree(child)
    with Suppressed(OSError):
        os.kill(pid, SIGKILL)


def kill_session(session: int) -> None:
    """Kill every process of a terminal session."""
    for pid in _all_pids():
        if pid == session or _field(pid, 3) == session:
            with Suppressed(OSError):
                os.kill(pid, SIGKILL)


def _all_pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _field(pid: int, index: int) -> int:
    """A number of /proc/PID/stat after the name: 1 parent, 2 group, 3 session."""
    try:
        return int(whole("/proc/%d/stat" % pid).rpartition(b")")[2].split()[index])
    except (OSError, ValueError, IndexError):
        return -1


def whole(path: str) -> bytes:
    """A file of /proc; what ``open`` makes besides a descriptor takes longer than reading."""
    fd, pieces = os.open(path, os.O_RDONLY | os.O_CLOEXEC), []
    try:
        while piece := os.read(fd, 65536):
            pieces.append(piece)
    finally:
        os.close(fd)
    return b"".join(pieces)
