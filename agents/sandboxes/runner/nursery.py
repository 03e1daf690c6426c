"""A warm interpreter on the host that is forked for every sandbox: most of what a runner's start costs is Python's own.

It runs outside of all sandboxes, hears nobody but the host, and holds nothing but this package. A fork takes on the
sandbox's user, enters the namespaces that bubblewrap has made and locked, gives up every capability, puts the
system-call filter on, and only then becomes the runner: a child of the sandbox's first process, as any other would be.

Standard input is a unix socket that keeps messages apart. In: the filter; then for each runner its user (or ``-`` for
our own) and what it is to do (``serve`` or ``check``), with its standard input, output and errors, a pidfd of the
sandbox's first process and, for one with a network, the way on which its door is handed out. Out: ``ready``; then
``born``, or nothing where the fork said on its standard errors why not.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from _socket import CMSG_SPACE, SCM_RIGHTS, SOL_SOCKET, socket

# What runners may need later, so that no fork loads it anew.
from . import check, confined, door, files, serve  # noqa: F401

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LONGEST = 64 * 1024  # bytes of a message
MOST, DESCRIPTOR = 5, 4  # descriptors of a message, bytes of one
DOOR = 3  # the number of the way for it, as the runner sees it
USER = 1000  # inside
WORKSPACE, SHOWN = "/workspace", "/opt/holdfast"
# Of one sandbox, entered at once: user, mount, PID, network, IPC, UTS, cgroup.
NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000 | 0x02000000
PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER = 23, 24, 36
CAPABILITIES = (0x20080522).to_bytes(4, sys.byteorder) + bytes(4)  # version 3, this thread
NONE_OF_THEM = bytes(24)  # effective, permitted, inheritable, twice

_libc = ctypes.CDLL(None, use_errno=True)
_prctl, _setns, _capset, _daemon = _libc.prctl, _libc.setns, _libc.capset, _libc.daemon  # looked up before any fork


def main(host: socket) -> None:
    """Serve until the host closes its end."""
    steps = host.recv(LONGEST)
    last = 0
    while _prctl(PR_CAPBSET_READ, last, 0, 0, 0) >= 0:
        last += 1
    _must(_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    gc.freeze()  # pages that no collection writes to stay common to all forks
    host.send(b"ready")
    while True:
        asked, ancillary, _, _ = host.recvmsg(LONGEST, CMSG_SPACE(MOST * DESCRIPTOR))
        given = [number for level, kind, data in ancillary for number in _numbers(level, kind, data)]
        if not asked:
            return
        user, task = asked.decode().split()
        host.send(b"born" if _bear(user, task, given, steps, last) else b"-")
        for number in given:
            os.close(number)


def _numbers(level: int, kind: int, data: bytes) -> list[int]:
    if (level, kind) != (SOL_SOCKET, SCM_RIGHTS):
        return []
    starts = range(0, len(data) - DESCRIPTOR + 1, DESCRIPTOR)
    return [int.from_bytes(data[start : start + DESCRIPTOR], sys.byteorder) for start in starts]


def _bear(user: str, task: str, given: Sequence[int], steps: bytes, capabilities: int) -> bool:
    """Fork a runner; whether it is inside, in the care of the sandbox's first process.

    Only a child of who has entered is in the PID namespace, and only a grandchild has its parent there and is left to
    the first process as that ends. Both are made by the C library's ``daemon``, which forks, ends the parent and begins
    a session, without a return to Python in between that would copy half of this interpreter.
    """
    child = os.fork()
    if child:
        # The one that entered, then the one it left to us.
        return os.waitpid(child, 0)[1] == 0 and os.wait()[1] == 0
    try:
        with_door = _enter(user, given)
        _confine(steps, capabilities)
        for _ in range(2):
            _must(_daemon, 1, 1)
        _be_runner(task, with_door)
    except BaseException as error:
        os.write(2, ("%s: %s\n" % (type(error).__name__, error)).encode("utf-8", "replace"))
    finally:
        os._exit(1)  # whatever happens, a fork never goes on as the nursery


def _enter(user: str, given: Sequence[int]) -> bool:
    """Be the sandbox's user in its namespaces, with the runner's descriptors and no others; whether a door is one."""
    stdin, stdout, errors, first = given[:4]
    os.dup2(errors, 2)  # from now on somebody reads what goes wrong
    os.dup2(stdin, 0)  # and the host's socket is closed
    os.dup2(stdout, 1)
    if user != "-":
        number = int(user)
        os.setgroups([])
        os.setresgid(number, number, number)
        os.setresuid(number, number, number)
    _must(_setns, first, NAMESPACES)
    if given[4:]:
        os.dup2(given[4], DOOR)
    os.closerange(DOOR + len(given[4:]), 1 << 20)
    os.chdir(WORKSPACE)
    return bool(given[4:])


def _confine(steps: bytes, capabilities: int) -> None:
    """What bubblewrap does to what it starts: no capability now or by any program, and the filter."""
    for number in range(capabilities):
        _must(_prctl, PR_CAPBSET_DROP, number, 0, 0, 0)
    _must(_capset, CAPABILITIES, NONE_OF_THEM)  # the ambient ones go with the inheritable
    confined.put_on(steps)


def _be_runner(task: str, with_door: bool) -> None:
    sys.path[:] = [SHOWN, *(place for place in sys.path if place != SHOWN)]
    if with_door:
        door.hand_out(str(DOOR))
    if task == "check":
        found = check.faults(USER)
        os.write(2, "; ".join(found).encode())
        os.write(1, b"" if found else b"closed\n")
        os._exit(0)
    serve.main()


def _must(call: Callable[..., int], *arguments: object) -> None:
    if call(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, "%s: %s" % (call.__name__, os.strerror(number)))
