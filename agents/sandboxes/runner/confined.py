"""What a backend that only starts a process leaves to do: the system-call filter, and a first process that reaps.

``confined FILTER COMMAND…``: the filter is a classic BPF program in native byte order. It is put on before anything
else happens, in front of whatever filter the engine has put on already; nothing can take it off again.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 4, 38, 22
SECCOMP_MODE_FILTER = 2
STEP_BYTES = 8

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def put_on(steps: bytes) -> None:
    """Put the filter on this process and all that it starts. Call it while there is one thread."""
    program = _Program(len(steps) // STEP_BYTES, steps)
    for arguments in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if _libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "the system-call filter could not be put on")


def reap() -> None:
    """Go on in a child; this process, the namespace's first, ends with it and meanwhile takes in every orphan."""
    _libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    child = os.fork()
    if child == 0:
        return
    for descriptor in (0, 1):
        os.close(descriptor)
    while True:
        pid, status = os.wait()
        if pid == child:
            sys.stderr.flush()
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
