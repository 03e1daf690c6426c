"""The limits that an engine was asked for, as the kernel has them: asking is not getting."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.sandboxes.base import Limits

ROOT = Path("/sys/fs/cgroup")


def missing(pid: int, limits: Limits, root: Path = ROOT) -> str | None:
    """Which limit is not in force for a process, as part of a sentence; None if all are."""
    if _version_2(root):
        wanted = (
            (group(pid, "", root) / "memory.max", limits.memory_bytes),
            (group(pid, "", root) / "pids.max", limits.processes),
        )
    else:
        memory, processes = group(pid, "memory", root), group(pid, "pids", root)
        wanted = ((memory / "memory.limit_in_bytes", limits.memory_bytes), (processes / "pids.max", limits.processes))
    for file, value in wanted:
        try:
            found = file.read_text().strip()
        except OSError as error:
            return f"{file.name} can't be read back ({error.strerror})"
        if not found.isdigit() or int(found) > value:
            return f"{file.name} is {found} where {value} was asked for"
    return None


def killed_for_memory(pid: int, root: Path = ROOT) -> bool:
    """Whether the kernel has ended a process of this one's group because the memory limit was reached."""
    file = (
        group(pid, "", root) / "memory.events"
        if _version_2(root)
        else group(pid, "memory", root) / "memory.oom_control"
    )
    try:
        counts = dict(line.split(" ", 1) for line in file.read_text().splitlines())
    except (OSError, ValueError):
        return False
    return counts.get("oom_kill", "0") != "0"


def group(pid: int, controller: str, root: Path = ROOT) -> Path:
    """The directory of a process's group; ``controller`` is empty for version 2.

    A directory that does not exist if there is no such process.
    """
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return root / controller / path.lstrip("/")
    return root / controller / "no such process"


def _version_2(root: Path) -> bool:
    return (root / "cgroup.controllers").exists()
