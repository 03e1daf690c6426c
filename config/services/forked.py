"""The supervisor's side of the nursery: ask for a fork, and treat it as a child process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from config.services.service import Service

ANSWER_SECONDS = 1.0


class Forked:
    """A child that the nursery forked and we adopted; what the supervisor uses of ``subprocess.Popen``."""

    def __init__(self, pid: int, stdout: IO[bytes]) -> None:
        self.pid = pid
        self.stdout: IO[bytes] | None = stdout
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            try:
                found, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                self.returncode = -signal.SIGKILL  # reaped by somebody else: it is gone, and nothing more is known
            else:
                self.returncode = os.waitstatus_to_exitcode(status) if found else None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Nursery:
    """Where the nursery listens."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fork(self, service: Service) -> Forked | None:
        """The service's program as a running child; None if the nursery is away or slow, and nothing was started."""
        request = {"name": service.name, "argv": [str(part) for part in service.argv], "keep": list(service.pass_fds)}
        ours, theirs = os.pipe()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
                link.settimeout(ANSWER_SECONDS)
                link.connect(str(self.path))
                socket.send_fds(link, [json.dumps(request).encode()], [theirs])
                pid = int(link.recv(32))
                link.send(b"go")
        except (OSError, ValueError):
            os.close(ours)
            return None
        finally:
            os.close(theirs)
        return Forked(pid, os.fdopen(ours, "rb", buffering=0))


def reap_strangers(known: set[int]) -> None:
    """Orphans that we adopted and that have ended, such as what a killed service had started."""
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and found.si_pid not in known:
            os.waitpid(found.si_pid, 0)
