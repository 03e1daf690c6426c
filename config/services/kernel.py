"""What a child asks of the kernel between fork and exec: to die with the supervisor, and not to be root."""

from __future__ import annotations

import ctypes
import os
import sys
from enum import Enum
from typing import TYPE_CHECKING

from contract.processes import die_with

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWUSER = 0x1000_0000
NOBODY = 65534

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Identity(Enum):
    """Who a child is. PostgreSQL refuses to be root or a user without a name: it is shown, or made, someone else."""

    SAME = "same user"
    MAPPED = "user namespace that shows us as nobody"  # files stay ours
    NOBODY = "the user nobody"  # files must belong to nobody


def setup(death_signal: signal.Signals, identity: Identity = Identity.SAME) -> Callable[[], None]:
    """A `preexec_fn`. The death signal is set last: the kernel clears it when credentials change."""
    parent = os.getpid()

    def prepare() -> None:
        if identity is Identity.MAPPED:
            _map_us_to_nobody()
        elif identity is Identity.NOBODY:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        die_with(parent, death_signal)

    return prepare


def adopt_orphans(wanted: bool = True) -> bool:
    """Become the parent of our children's orphans, or stop it. False where the kernel can't."""
    return _libc is not None and _libc.prctl(PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0) == 0


def call_oneself(name: str) -> None:
    """What `ps` and `top` show as this process's command."""
    if _libc is not None:
        _libc.prctl(PR_SET_NAME, ctypes.c_char_p(f"holdfast-{name}".encode()[:15]), 0, 0, 0)


def _map_us_to_nobody() -> None:
    user, group = os.geteuid(), os.getegid()
    if _libc is None or _libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    for name, line in (("setgroups", "deny"), ("uid_map", f"{NOBODY} {user} 1"), ("gid_map", f"{NOBODY} {group} 1")):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(descriptor, line.encode())
        os.close(descriptor)
