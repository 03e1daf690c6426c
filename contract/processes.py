"""What our long-running programs ask of the kernel for themselves."""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
MANY_FILES = 65_536

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with(parent: int, death_signal: int) -> None:
    """Get ``death_signal`` when our parent process dies; end now if it has died meanwhile."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def begin_beside(parent: int, *, until_it_dies: bool) -> None:
    """What a process beside the server begins with: many files, its parent's end as its own, plain lines on stderr."""
    allow_many_files()
    if until_it_dies:
        die_with(parent, signal.SIGKILL)
    level = os.environ.get("LOG_LEVEL", "INFO").upper()
    logging.basicConfig(level=level if level in logging.getLevelNamesMapping() else "INFO", format="%(message)s")


def allow_many_files() -> None:
    """Open up to ``MANY_FILES`` files, if the hard limit permits: with the usual 1,024 few sandboxes or readers fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, MANY_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
