"""Finding out, by doing it, whether sandboxes can be opened here."""

from __future__ import annotations

import os
import platform
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from agents.sandboxes.base import Report, SandboxError
from agents.sandboxes.boxes import seccomp
from agents.sandboxes.local import arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents.sandboxes.boxes.layout import Box, Layout
    from agents.sandboxes.local.binary import Runtime
    from agents.sandboxes.local.process import Spawner

WAIT_SECONDS = 15.0
NOBODY = 65534

_SWITCHES = {
    Path("/proc/sys/kernel/unprivileged_userns_clone"): ("0", "sysctl kernel.unprivileged_userns_clone=1"),
    Path("/proc/sys/user/max_user_namespaces"): ("0", "sysctl user.max_user_namespaces=15000"),
    Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"): (
        "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for bwrap",
    ),
}


def report(layout: Layout, spawner: Spawner, layers: tuple[str, ...], reasons: Sequence[str]) -> Report:
    """Start the runner's ``check`` errand in an empty box: all of the configuration is in force for it, and it says so
    by its exit status. Then the same in a fork of the nursery, which is done without where that is not so.
    """
    name = f"probe-{uuid.uuid4().hex}"
    try:
        box = layout.create(name)
        fault = _fault(box, spawner)
        cold = spawner.warm_up(box) if fault is None else None
    except (SandboxError, OSError) as error:
        fault = f"No sandbox could be started: {error}. {_way_out()}"
    finally:
        layout.remove(name)
    if fault is not None:
        return Report("local", usable=False, strength="none", layers=(), reasons=(fault, *reasons))
    slower = [f"Runners are not forked, which makes starting sandboxes dearer: {cold}."] if cold else []
    return Report("local", usable=True, strength="namespace", layers=layers, reasons=(*reasons, *slower))


def _fault(box: Box, spawner: Spawner) -> str | None:
    process = spawner.start(box, "check", "1000")
    try:
        status = process.wait(WAIT_SECONDS)
        said = process.errors()
    finally:
        process.close()
    return None if status == 0 else f"The sandbox started but is not closed: {said}. {_way_out()}"


_ELSEWHERE = "run the tools on another machine by an outside worker (a self_hosted environment)"


def _way_out() -> str:
    """What an operator can do, from what this kernel shows."""
    ways = [f"run `{remedy}`" for path, (closed, remedy) in _SWITCHES.items() if path.exists() and _reads(path, closed)]
    ways.append(_ELSEWHERE)
    return "Ways out: " + "; ".join(ways) + "."


def _reads(path: Path, value: str) -> bool:
    try:
        return path.read_text().strip() == value
    except OSError:
        return False


def lays_over(runtime: Runtime) -> bool:
    """Whether directories can be laid over this machine's /usr: a matter of the kernel, of bubblewrap's age, and of
    whether /lib is a part of /usr. As a user of no standing, as sandboxes are.
    """
    if not Path("/lib").is_symlink():
        return False
    options = [*arguments.usr([runtime.shown]), *("--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64")]
    user = NOBODY if os.geteuid() == 0 else None
    try:
        tried = subprocess.run(
            ["bwrap", "--unshare-user", "--die-with-parent", *options, "/usr/bin/true"],
            executable=runtime.bwrap,
            user=user,
            group=user,
            extra_groups=None if user is None else (),
            env={},
            cwd="/",
            capture_output=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


def unsupported() -> str | None:
    """Why this machine can have no local sandboxes at all, before anything is tried."""
    if platform.system() != "Linux":
        return f"The local backend needs Linux; {_ELSEWHERE}."
    if not seccomp.supported():
        return f"There is no system-call filter for {platform.machine()}; {_ELSEWHERE}."
    return None
