"""What the runner does to itself before it reads a single call."""

from __future__ import annotations

import os
import resource

from . import bare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PR_SET_DUMPABLE = 4


def set_rlimits(limits: Mapping[str, int]) -> None:
    """Set hard limits for this process and all it starts."""
    wanted = {
        resource.RLIMIT_NPROC: limits["processes"],
        resource.RLIMIT_DATA: limits["memory_bytes"],
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_NOFILE: limits["open_files"],
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def hide_from_siblings() -> None:
    """Commands run under the same user: keep them out of this process's memory and pipes."""
    if bare.prctl(PR_SET_DUMPABLE, 0) != 0:
        raise OSError("this process could not be kept from its siblings")
    os.umask(0o022)
