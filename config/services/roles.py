"""The application's own processes: web, workers, sweeper, sandbox host, egress proxy, and the step before them all."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

from agents.sandboxes.host import kept_environment
from config.env import ROOT, Holdfast
from config.services.service import Service
from config.services.watch import Question, told
from credentials.egress.packages import CONFIGURED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

# The egress proxy holds secrets that workers lend it; of the installation's own it knows none. Its settings, and what
# this machine's package managers are configured with: sandboxes install from the same places.
EGRESS_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LOG_LEVEL", "SSL_CERT_FILE", "SSL_CERT_DIR")
MANAGE = ROOT / "manage.py"
HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def environment(holdfast: Holdfast) -> dict[str, str]:
    """Our own environment, relative paths made absolute: children run in the checkout, not where we were started."""
    return {
        **_watched(holdfast, os.environ),
        "DATA_DIR": str(holdfast.data_dir),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONUNBUFFERED": "1",
        "PORT": str(holdfast.port),
    }


def beats_at(holdfast: Holdfast) -> Path:
    """The socket that children say at that they live."""
    return holdfast.runtime_dir / "beats.sock"


def _watched(holdfast: Holdfast, environ: Mapping[str, str]) -> dict[str, str]:
    return told(beats_at(holdfast), holdfast.hang_seconds, environ)


def nursery(holdfast: Holdfast, listener: socket.socket, path: Path) -> Service:
    """What web, workers and sweeper are forked off; all of them have its environment."""
    argv = [sys.executable, "-m", "config.services.nursery", "--socket", str(path), "--inherit", str(listener.fileno())]
    return Service(
        name="nursery",
        argv=argv,
        cwd=ROOT,
        env=environment(holdfast),
        ready=_answers(str(path), socket.SOCK_SEQPACKET),
        pass_fds=(listener.fileno(),),
    )


def prepare(holdfast: Holdfast) -> Service:
    argv = [sys.executable, str(MANAGE), "prepare"]
    return Service(name="prepare", argv=argv, cwd=ROOT, env=environment(holdfast), once=True, forked=True)


def web(holdfast: Holdfast, listener: socket.socket) -> Service:
    """The supervisor holds the listening socket: while web restarts, callers wait in its backlog, not refused."""
    argv = [sys.executable, "-m", "daphne", "-v", "0", "--fd", str(listener.fileno()), "--no-server-name"]
    return Service(
        name="web",
        argv=[*argv, "--application-close-timeout", "3", "config.asgi:application"],
        cwd=ROOT,
        env=environment(holdfast),
        ready=Question(_reached_at(listener), HEALTHZ, b"HTTP/1.1 200"),
        stop_seconds=3.0,
        pass_fds=(listener.fileno(),),
        forked=True,
    )


def _reached_at(listener: socket.socket) -> tuple[str, int]:
    host, port = listener.getsockname()[:2]
    return "127.0.0.1" if host == "0.0.0.0" else "::1" if host == "::" else host, port  # noqa: S104


def worker(holdfast: Holdfast, number: int) -> Service:
    queues = f"{holdfast.instance},{holdfast.instance}.chores"  # turns, and what may wait for one
    options = ["-P", "threads", "-c", str(holdfast.worker_threads), "-Q", queues, "-l", "INFO"]
    quiet = ["-n", f"worker{number}@%h", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    return Service(
        name=f"worker{number}",
        argv=[sys.executable, "-m", "celery", "-A", "config.celery:app", "worker", *options, *quiet],
        cwd=ROOT,
        env=environment(holdfast),
        ready_text=" ready.",
        stop_seconds=3.0,  # turns may last for hours: their leases hand them on, so waiting for them gains nothing
        forked=True,
    )


def sweeper(holdfast: Holdfast) -> Service:
    argv = [sys.executable, str(MANAGE), "sweeper"]
    return Service(name="sweeper", argv=argv, cwd=ROOT, env=environment(holdfast), forked=True)


def sandbox_host(holdfast: Holdfast) -> Service:
    options = ["--socket", str(holdfast.sandbox_socket), "--data", str(holdfast.data_dir / "sandboxes")]
    if holdfast.sandbox == "docker":
        options += ["--backend", "docker", "--image", holdfast.sandbox_image]
    if holdfast.egress.socket is not None:
        options += ["--egress", str(holdfast.egress.socket)]
    return Service(
        name="sandbox",
        argv=[sys.executable, "-m", "agents.sandboxes.host", *options],
        cwd=ROOT,
        env={**_watched(holdfast, kept_environment(os.environ)), "PYTHONUNBUFFERED": "1"},
        ready=_answers(str(holdfast.sandbox_socket)),
    )


def egress(holdfast: Holdfast, path: Path) -> Service:
    """The way out of sandboxes, serving at ``path``."""
    settings = {
        "EGRESS_ALLOW_NETWORKS": " ".join(holdfast.egress.networks),
        "EGRESS_PACKAGE_HOSTS": " ".join(holdfast.egress.package_hosts),
        "EGRESS_PLAIN_CREDENTIALS": str(holdfast.egress.plain_credentials),
    }
    kept = {k: v for k, v in os.environ.items() if k in EGRESS_ENVIRONMENT or k.startswith(CONFIGURED)}
    return Service(
        name="egress",
        argv=[
            *(sys.executable, "-m", "credentials.egress"),
            *("--socket", str(path), "--data", str(holdfast.data_dir / "egress")),
        ],
        cwd=ROOT,
        env={**_watched(holdfast, kept), **settings, "PYTHONUNBUFFERED": "1"},
        ready=_answers(str(path)),
    )


def _answers(path: str, kind: int = socket.SOCK_STREAM) -> Callable[[], bool]:
    """Whether something accepts on a unix socket."""

    def ready() -> bool:
        with socket.socket(socket.AF_UNIX, kind) as probe:
            probe.settimeout(0.2)
            try:
                probe.connect(path)
            except OSError:
                return False
            return True

    return ready
