"""The sandbox host: ``python -m agents.sandboxes.host --socket PATH --data DIR``.

One process a machine that holds all its sandboxes, so that they outlive the workers. It knows no
database and no key: an environment with anything of that kind is dropped before a sandbox starts,
by executing itself again (the kernel keeps showing the first environment of a process).
"""

from __future__ import annotations

import argparse
import logging
import os
import select
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from agents.sandboxes import registry
from agents.sandboxes.base import Report, SandboxError
from agents.sandboxes.engine import EngineSettings, RunnerBackend, sandboxes_that_fit
from agents.sandboxes.server import Server, listen
from contract.processes import begin_beside
from contract.watchdog import Heart

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

log = logging.getLogger("holdfast.sandboxes")

# All the host may know. No database URL, no key, no model: what it holds, a sandbox might one day reach.
KEPT = frozenset(
    [
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TZ",
        "TMPDIR",
        "USER",
        "LOGNAME",
        "LOG_LEVEL",
        "VIRTUAL_ENV",
        "XDG_RUNTIME_DIR",
        "DOCKER_HOST",
        "APT_CONFIG",
        "SSL_CERT_FILE",
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONSAFEPATH",
        "PYTHONHASHSEED",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
    ]
)


def kept_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment the host may know."""
    return {name: value for name, value in environment.items() if name in KEPT}


def scrub_environment() -> None:
    """Execute this program again without the rest of its environment, if there is a rest."""
    kept = kept_environment(os.environ)
    if kept != dict(os.environ):
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], kept)  # noqa: S606 - our own program


def describe(report: Report) -> str:
    """A probe's report for a person."""
    lines = [
        f"backend   {report.backend}",
        f"usable    {'yes' if report.usable else 'no'}",
        f"strength  {report.strength}",
        f"limits    {', '.join(report.layers) or 'none'}",
    ]
    return "\n".join([*lines, *(f"note      {reason}" for reason in report.reasons)])


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="agents.sandboxes.host", description="Holds this machine's sandboxes.")
    parser.add_argument("--socket", type=Path, help="unix socket to serve")
    parser.add_argument("--data", type=Path, default=Path("var/sandboxes"), help="where sandboxes are kept")
    parser.add_argument("--backend", default="local", help="kind of sandbox: local or docker")
    parser.add_argument("--image", default="", help="what the containers of the docker backend are made of")
    own = "a cgroup directory delegated to this process; own: the one it is started in"
    parser.add_argument("--cgroup", type=Path, help=own)
    parser.add_argument("--egress", type=Path, help="the egress proxy's unix socket; without it, no network")
    parser.add_argument("--idle-minutes", type=float, default=15.0, help="end unused processes after this")
    cap = sandboxes_that_fit()
    parser.add_argument("--max-open", type=int, default=cap, help=f"sandboxes with processes at one time ({cap})")
    parser.add_argument("--die-with-parent", action="store_true", help="be killed when the starter dies")
    parser.add_argument("--probe", action="store_true", help="say whether sandboxes work here, and end")
    parsed = parser.parse_args(argv)
    if parsed.socket is None and not parsed.probe:
        parser.error("--socket is required")
    return parsed


def settings(options: argparse.Namespace) -> registry.HostSettings:
    engine = EngineSettings(idle_seconds=options.idle_minutes * 60, max_open=options.max_open)
    return registry.HostSettings(options.data, options.cgroup, options.egress, options.image, engine)


def probe(options: argparse.Namespace) -> int:
    """Print the report; 1 if no sandbox can be opened."""
    report = registry.backend(options.backend, settings(options)).probe()
    sys.stdout.write(describe(report) + "\n")
    if report.usable:
        return 0
    sys.stderr.write(report.reasons[0] + "\n")
    return 1


def serve(options: argparse.Namespace) -> int:
    """Refuse where sandboxes do not work; otherwise serve until SIGTERM or SIGINT."""
    listener = listen(options.socket.absolute())
    return serve_backend(listener, options.socket, registry.backend(options.backend, settings(options)))


def serve_backend(listener: socket.socket, path: Path, backend: RunnerBackend) -> int:
    """Serve ``backend`` on a socket bound to ``path``; the exit status of the process."""
    report = backend.probe()
    if not report.usable:
        path.unlink()
        sys.stderr.write(report.reasons[0] + "\n")
        return 1
    server = Server(backend, listener)
    # The interpreter itself writes into the pipe when a signal comes. A handler in Python would only run after the
    # read below returns, if the signal comes in the moment before it.
    asked, ask = os.pipe()
    os.set_blocking(ask, False)
    signal.set_wakeup_fd(ask)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    threading.Thread(target=server.serve, name="accept", daemon=True).start()
    log.info("serving %s sandboxes at %s, limits: %s", report.backend, path, ", ".join(report.layers))
    heart = Heart()
    heart.beat()
    while not select.select([asked], [], [], heart.pause)[0]:
        heart.beat()
    path.unlink(missing_ok=True)
    server.stop()
    backend.shutdown()
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    parent = os.getppid()
    options = arguments(sys.argv[1:] if argv is None else argv)
    scrub_environment()
    begin_beside(parent, until_it_dies=options.die_with_parent)
    try:
        return probe(options) if options.probe else serve(options)
    except SandboxError as error:
        sys.stderr.write(f"{error}\n")
    except OSError as error:
        sys.stderr.write(f"The sandbox host cannot use {options.data}: {error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
