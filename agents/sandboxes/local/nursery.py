"""The host's side of the nursery: a warm interpreter whose forks become sandboxes' runners (see ``runner.nursery``).

Nothing that a sandbox may see names it: it has no environment, and what it is told goes through its socket.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents.sandboxes.local.binary import Runtime

ANSWER_SECONDS = 20.0
END_SECONDS = 5.0
_LONGEST = 1024
_START = """
import sys
from _socket import socket
from marshal import load
host = socket(fileno=0)
with open(host.recv(4096).decode() + '/whole.' + sys.implementation.cache_tag, 'rb') as whole:
    exec(load(whole), {})
from runner.nursery import main
main(host)
"""


class Nursery:
    """One warm interpreter. Thread-safe; ends with the process that made it, or by ``close``."""

    def __init__(self, runtime: Runtime, steps: bytes) -> None:
        """``steps``: the system-call filter. Raises ``OSError`` where it does not start."""
        self.python = runtime.seen[0]  # as it was when it was started
        self._lock = threading.Lock()
        self._host, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._host.settimeout(ANSWER_SECONDS)
        with theirs:
            self._process = subprocess.Popen(
                [str(runtime.python), "-I", "-S", "-c", _START],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        try:
            self._host.send(bytes(runtime.shown))
            self._host.send(steps)
            if self._host.recv(_LONGEST) != b"ready":
                raise ConnectionResetError("it ended at its start")
        except BaseException:
            self.close()
            raise

    def bear(self, user: int | None, task: str, given: Sequence[int]) -> bool:
        """Make a runner in a sandbox of ``user``; False if it could not be entered, for the reason written to the third
        of the descriptors. Raises ``OSError`` where the nursery has gone, or is too late; then it is asked no more.
        """
        asked = f"{'-' if user is None else user} {task}".encode()
        with self._lock:
            try:
                socket.send_fds(self._host, [asked], given)
                answer = self._host.recv(_LONGEST)
            except OSError:
                self._host.close()  # else the next one who asks would take the late answer for theirs
                raise
        if not answer:
            raise ConnectionResetError("the nursery has ended")
        return answer == b"born"

    def close(self) -> None:
        self._host.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
            return
        self._process.kill()
        self._process.wait(END_SECONDS)
