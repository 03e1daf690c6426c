"""Starting a program as another user, without a copy of this process.

``subprocess`` can do the one only with the other: it forks, which copies the page tables of a host of hundreds of
sandboxes, has every page written afterwards copied as well, and has the copy taken down again when the program is
executed. Here the calling *thread* takes on the user and the program is spawned, which copies nothing.

Users belong to threads where the kernel is concerned; the C library's functions change all of a process, so the system
calls are made directly. Root stays behind as the saved user, by which the thread becomes root again. The program does
not get that: executing sets the saved user to the effective one, and leaves no capability to anybody but root.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import platform
import select
import signal
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CALLS = {
    "x86_64": {"setgroups": 116, "setresgid": 119, "setresuid": 117, "close_range": 436},
    "aarch64": {"setgroups": 159, "setresgid": 149, "setresuid": 147, "close_range": 436},
}
_CLONE_FS = 0x200
_CLOSE_RANGE_CLOEXEC, _LAST = 4, 0xFFFFFFFF
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
_libc = ctypes.CDLL(None, use_errno=True)


class Started:
    """A child of ours with pipes for its input and outputs."""

    def __init__(self, pid: int, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self.pid, self.stdin, self.stdout, self.stderr = pid, stdin, stdout, stderr
        self._status: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Its exit status once it has ended, negative for a signal."""
        with self._lock:
            if self._status is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self._status = os.waitstatus_to_exitcode(status) if pid else None
            return self._status

    def wait(self, seconds: float) -> int | None:
        """Its exit status, None if it has not ended in time."""
        with self._lock:
            if self._status is not None:
                return self._status
            fd = os.pidfd_open(self.pid)  # not waited for yet: the number is still its own
        try:
            wakeful = select.poll()
            wakeful.register(fd, select.POLLIN)
            wakeful.poll(seconds * 1000)
        finally:
            os.close(fd)
        return self.poll()

    def kill(self) -> None:
        with self._lock:
            if self._status is None:
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close the pipes."""
        for pipe in (self.stdin, self.stdout, self.stderr):
            with contextlib.suppress(OSError):
                pipe.close()


def settle() -> None:
    """Ready this thread, which may then ``spawn``: what it starts begins in the root directory."""
    if _libc.unshare(_CLONE_FS) != 0:
        raise OSError(ctypes.get_errno(), "the thread that starts sandboxes could not have a directory of its own")
    os.chdir("/")
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:  # else a pipe might get the number that a child looks for
        continue
    os.close(number)


def spawn(program: Path, argv: list[str], user: int | None, kept: Sequence[int], pipe_bytes: int) -> Started:
    """Start ``program`` in a terminal session of its own with an empty environment, as ``user`` (also its group, with
    no other groups) or as we are. It finds the descriptors ``kept`` under their numbers, and no others of ours.

    Raises ``OSError``.
    """
    with piped(pipe_bytes) as (ours, theirs):
        shown = {**{fd: fd for fd in kept}, **dict(enumerate(theirs))}
        actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in shown.items()]
        _close_others()
        with _as(user):
            pid = os.posix_spawn(
                program, argv, {}, file_actions=actions, setsid=True, setsigdef=_IGNORED_BY_PYTHON, setsigmask=()
            )
        return Started(pid, *ours)


@contextlib.contextmanager
def piped(pipe_bytes: int) -> Iterator[tuple[list[IO[bytes]], list[int]]]:
    """Pipes for a child's input and outputs: our ends, which stay open unless something goes wrong, and the child's."""
    ours, theirs = list[IO[bytes]](), list[int]()
    with contextlib.ExitStack() as at_the_end, contextlib.ExitStack() as at_a_fault:
        for number in (0, 1, 2):
            reading, writing = os.pipe()
            shown, own = (writing, reading) if number else (reading, writing)
            theirs.append(shown)
            at_the_end.callback(os.close, shown)
            ours.append(os.fdopen(own, "rb" if number else "wb"))
            at_a_fault.callback(ours[-1].close)
            with contextlib.suppress(OSError):  # more than this user may have in pipes
                fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, pipe_bytes)
        yield ours, theirs
        at_a_fault.pop_all()


@contextlib.contextmanager
def _as(user: int | None) -> Iterator[None]:
    """This thread, and nothing else of the process, as another user who can become root again."""
    if user is None:
        yield
        return
    groups = os.getgroups()
    with contextlib.ExitStack() as back:
        _call("setgroups", 0, None)
        back.callback(_call_or_end, "setgroups", len(groups), (ctypes.c_uint * len(groups))(*groups))
        _call("setresgid", user, user, 0)
        back.callback(_call_or_end, "setresgid", 0, 0, 0)
        _call("setresuid", user, user, 0)
        back.callback(_call_or_end, "setresuid", 0, 0, 0)
        yield


def _close_others() -> None:
    """Have everything open but 0 to 2 closed in what is executed; what is made from now on is so from the start."""
    try:
        _call("close_range", 3, _LAST, _CLOSE_RANGE_CLOEXEC)
    except OSError:  # before Linux 5.11
        for number in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
            if number > 2:
                with contextlib.suppress(OSError):  # one that belonged to the reading itself
                    os.set_inheritable(number, False)


def _call(name: str, *arguments: object) -> None:
    if _libc.syscall(_CALLS[platform.machine()][name], *arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def _call_or_end(name: str, *arguments: object) -> None:
    """Rather no host than one of which nobody knows who it is."""
    try:
        _call(name, *arguments)
    except OSError:
        os.abort()
