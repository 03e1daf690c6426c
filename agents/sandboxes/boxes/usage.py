"""What a running sandbox uses: memory by its processes' PSS, disk by du, and the disk's floor."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

DU_SECONDS = 30.0


def process_tree(root: int) -> list[int]:
    """A process and all its descendants. Orphans belong to the sandbox's own init, so the tree
    below that is complete.
    """
    found: list[int] = []
    pending = [root]
    while pending and len(found) < 10_000:
        pid = pending.pop()
        found.append(pid)
        pending += _children(pid)
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_bytes().split())
    except OSError:
        return found
    return found


def memory_bytes(init_pid: int) -> int:
    """Proportional set size of the whole sandbox; shared pages count once."""
    return sum(_pss(pid) for pid in process_tree(init_pid))


def _pss(pid: int) -> int:
    try:
        with Path(f"/proc/{pid}/smaps_rollup").open("rb") as handle:
            for line in handle:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return _rss(pid)
    return 0


def _rss(pid: int) -> int:
    """Where the rollup is closed to us; counts shared pages in full, so it errs on the safe side."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def disk_bytes(directory: Path) -> int | None:
    """Disk space below ``directory`` as allocated; links are not followed. None if it can't be counted in time."""
    command = ["du", "-s", "-x", "--block-size=1", "--", str(directory)]
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    try:
        done = subprocess.run(command, env=env, capture_output=True, timeout=DU_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    number = done.stdout.split()[:1]
    return int(number[0]) if number else None


def free_bytes(directory: Path) -> int:
    """Space an ordinary user may still use on the disk of ``directory``."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize
