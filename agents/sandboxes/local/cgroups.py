"""The cgroup layer: a hard limit of memory and processes where the operator delegates a group.

Used only where a directory is named (``--cgroup``) and really takes limits; a service must not rearrange a hierarchy
nobody gave it. ``--cgroup own`` names the group that a unit with systemd's ``Delegate=yes`` was started in. Version 2
takes one directory. Version 1 has one hierarchy a controller: name one of the memory hierarchy; the process count is
then left to the rlimits.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from agents.sandboxes.base import Limits
from agents.sandboxes.boxes.usage import process_tree

REMOVE_SECONDS = 2.0
OWN = Path("own")
HIERARCHY = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
HOSTS = "host"  # the group below our own that we move into


def own() -> Path:
    """The group of version 2 that this process was started in, made ready to hand limits on.

    It may hold no process for that, so we move below it. Others in it are left alone; then the kernel hands on nothing.

    Raises ``OSError``, ``ValueError`` where there is none, or none that was delegated.
    """
    found = [line.removeprefix("0::") for line in MEMBERSHIP.read_text().splitlines() if line.startswith("0::")]
    root = HIERARCHY / "".join(found[:1]).strip("/")
    if not found or root == HIERARCHY:
        raise ValueError("this process has no group of version 2 of its own")
    if root.name == HOSTS:  # where ``DelegateSubgroup=host`` or an earlier call put us
        return root.parent
    below = root / HOSTS
    below.mkdir(exist_ok=True)
    (below / "cgroup.procs").write_text(str(os.getpid()))
    return root


class Cgroups:
    """Groups of sandboxes below one delegated directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.version = 2 if (root / "cgroup.controllers").exists() else 1

    def fault(self) -> str | None:
        """Why the layer cannot be in force here, as a sentence; None if it can."""
        try:
            self._prepare()
            self.create("probe", Limits())
        except (OSError, ValueError) as error:
            return f"The cgroup {self.root} takes no limits ({error}); delegate one or leave --cgroup out."
        finally:
            self.remove("probe")
        return None

    def create(self, name: str, limits: Limits) -> Path:
        """Make a group and read its memory limit back; raises if it is not in force."""
        group = self.root / f"holdfast-{name}"
        group.mkdir(exist_ok=True)
        if self.version == 2:
            self._limit(group / "memory.max", limits.memory_bytes)
            with contextlib.suppress(OSError):
                (group / "memory.swap.max").write_text("0")
            (group / "memory.oom.group").write_text("1")
            (group / "pids.max").write_text(str(limits.processes))
        else:
            self._limit(group / "memory.limit_in_bytes", limits.memory_bytes)
        return group

    def enter(self, name: str, init_pid: int) -> None:
        """Move a sandbox that has not begun to work into its group."""
        for pid in process_tree(init_pid):
            (self.root / f"holdfast-{name}" / "cgroup.procs").write_text(str(pid))

    def remove(self, name: str) -> None:
        """Remove an emptied group; the kernel needs a moment after the last process."""
        group = self.root / f"holdfast-{name}"
        deadline = time.monotonic() + REMOVE_SECONDS
        while group.exists() and time.monotonic() < deadline:
            try:
                group.rmdir()
            except OSError:
                time.sleep(0.01)

    def _prepare(self) -> None:
        if self.version == 2:
            (self.root / "cgroup.subtree_control").write_text("+memory +pids")

    def _limit(self, file: Path, value: int) -> None:
        file.write_text(str(value))
        in_force = file.read_text().strip()
        # The kernel rounds to pages; "max" or a huge number means that it took nothing.
        if not in_force.isdigit() or int(in_force) > value:
            raise ValueError(f"{file.name} reads {in_force} after {value} was written")
