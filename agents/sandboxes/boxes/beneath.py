"""Opening a file the agent may have tampered with, from outside, without leaving its directory."""

from __future__ import annotations

import ctypes
import os
import stat
from typing import TYPE_CHECKING

from agents.sandboxes.base import SandboxError

if TYPE_CHECKING:
    from pathlib import Path

_SYS_OPENAT2 = 437  # the same on every architecture
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x02, 0x04, 0x08
_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(directory: Path, path: str) -> int:
    """A descriptor of the regular file ``path`` below ``directory``; no link is followed at all.

    The kernel checks every step (openat2), so that swapping a directory for a link at the right
    moment gains nothing. Raises ``SandboxError`` for anything but a readable regular file.
    """
    name = path.encode("utf-8", "replace")
    if not name or b"\0" in name:
        raise SandboxError(f"{path[:200]!r} is no file of this sandbox's outputs.")
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    how = _How(flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS)
    root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = _libc.syscall(_SYS_OPENAT2, root, name, ctypes.byref(how), ctypes.sizeof(how))
    finally:
        os.close(root)
    if fd < 0:
        reason = os.strerror(ctypes.get_errno())
        raise SandboxError(f"{path[:200]!r} cannot be read from this sandbox's outputs: {reason}.")
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise SandboxError(f"{path[:200]!r} is not a regular file.")
    return int(fd)
