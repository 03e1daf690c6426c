"""What a running sandbox uses: memory by its processes' PSS, disk as du counts it, and the disk's floor.

Hundreds of sandboxes are looked at every few seconds, most of them at rest and nearly empty: what can be known without
walking page tables or starting a program is.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from agents.sandboxes.runner.processes import whole

DU_SECONDS = 30.0
BLOCK = 512  # bytes, what st_blocks counts in
FEW = 1_000  # entries that are sooner counted here than du is started


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
        with os.scandir(f"/proc/{pid}/task") as tasks:
            for task in tasks:
                found += map(int, whole(f"{task.path}/children").split())
    except OSError:
        return found
    return found


def memory_bytes(init_pid: int, beyond: int = 0) -> int:
    """Proportional set size of the whole sandbox; shared pages count once.

    Where even the resident sets, shared pages counted in full, are not ``beyond`` so many bytes, the answer is theirs.
    """
    tree = process_tree(init_pid)
    most = sum(map(_rss, tree))
    return most if most <= beyond else sum(map(_pss, tree))


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
        pages = int(whole(f"/proc/{pid}/statm").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def disk_bytes(directory: Path) -> int | None:
    """Disk space below ``directory`` as allocated; links are not followed. None if it can't be counted in time."""
    try:
        counted = _of_few(directory)
    except OSError:  # paths too long, directories closed to us: du knows ways
        counted = None
    return _of_many(directory) if counted is None else counted


def _of_few(directory: Path) -> int | None:
    """The space of at most ``FEW`` entries; None where there are more."""
    top = directory.lstat()
    total, left, seen = top.st_blocks, FEW, set[int]()
    pending = [os.fspath(directory)]
    while pending:
        path = pending.pop()
        # A directory that has just been exchanged for a link leads nowhere.
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    left -= 1
                    if left < 0:
                        return None
                    status = entry.stat(follow_symlinks=False)
                    if status.st_dev != top.st_dev or status.st_ino in seen:
                        continue
                    if status.st_nlink > 1:
                        seen.add(status.st_ino)
                    total += status.st_blocks
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(f"{path}/{entry.name}")
        finally:
            os.close(fd)
    return total * BLOCK


def _of_many(directory: Path) -> int | None:
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
