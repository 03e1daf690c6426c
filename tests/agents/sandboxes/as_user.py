"""Start the sandbox host as another, ordinary user: ``as_user.py UID SOCKET ROOT EGRESS``, run as root.

Everything is imported and copied before the change of user, because interpreter, environment and
checkout may lie where only root can read.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from agents.sandboxes import host
from agents.sandboxes.engine import EngineSettings, RunnerBackend
from agents.sandboxes.local import binary
from agents.sandboxes.local.launcher import LocalLauncher, LocalSettings
from agents.sandboxes.server import listen
from contract.processes import die_with


def main() -> int:
    parent = os.getppid()
    uid, socket, root, egress = int(sys.argv[1]), *map(Path, sys.argv[2:5])
    (root / "runtime").mkdir(parents=True)
    runtime = binary.install(root / "runtime")
    for path in (root, root / "runtime", socket.parent):
        os.chown(path, uid, uid)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    die_with(parent, signal.SIGKILL)
    launcher = LocalLauncher(LocalSettings(root=root, egress=egress), runtime)
    return host.serve_backend(listen(socket), socket, RunnerBackend(launcher, EngineSettings(watch_seconds=0.1)))


if __name__ == "__main__":
    sys.exit(main())
