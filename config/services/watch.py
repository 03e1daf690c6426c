"""Which children live: they beat over a socket (``contract.watchdog``), or answer a question that is put to them.

A child is silent for as long as *we* were there to hear it. A machine that slept, or is so loaded that the supervisor
itself comes late, makes nobody late; and a child that takes processor time is slow rather than frozen, so it gets
longer.
"""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contract.watchdog import SHARE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

LONGEST_TURN_SECONDS = 2.0  # no more than this of the time between two looks counts as silence
FIRST_BEAT_SECONDS = 120.0  # a process loads its program before it beats
SLOW_TIMES = 6  # as long as the others may a child be silent that uses the processor meanwhile
IDLE_SHARE = 0.001  # of a time: who took less of the processor did nothing
WATCHED = ("NOTIFY_SOCKET", "WATCHDOG_USEC")


@dataclass(slots=True)
class Silence:
    """For how many seconds a child has said nothing, and for how many of them, the last ones, it did nothing."""

    pid: int
    seconds: float = 0.0
    idle: float = 0.0
    used: float = 0.0  # of the processor, until the last look
    heard: bool = False

    def hear(self) -> None:
        self.seconds, self.idle, self.heard = 0.0, 0.0, True

    def last(self, seconds: float) -> None:
        """So much longer."""
        used = processor_seconds(self.pid)
        self.idle = self.idle + seconds if used - self.used <= seconds * IDLE_SHARE else 0.0
        self.seconds, self.used = self.seconds + seconds, used

    def exceeds(self, limit: float) -> bool:
        """Whether it has to be taken for dead where ``limit`` seconds are allowed."""
        if not self.heard:
            return self.seconds > max(limit, FIRST_BEAT_SECONDS)
        return self.seconds > limit and (self.idle > limit / 2 or self.seconds > limit * SLOW_TIMES)


@dataclass
class Watch:
    """Hears beats on the socket at ``path``; a child may be silent for ``limit`` seconds."""

    path: Path
    limit: float
    _silences: dict[str, Silence] = field(default_factory=dict)
    _looked: float = math.inf

    def __post_init__(self) -> None:
        self.path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(str(self.path))

    def silent(self, alive: Mapping[str, tuple[int, Callable[[], bool] | None]], now: float) -> list[str]:
        """Who is to be taken for dead. ``alive``: each child's process, and what asks it if it doesn't beat."""
        passed = min(max(0.0, now - self._looked), LONGEST_TURN_SECONDS)
        self._looked = now
        beating = self._beating()
        found = []
        for name, (pid, question) in alive.items():
            known = self._silences.get(name)
            if known is None or known.pid != pid:
                known = self._silences[name] = Silence(pid)
            known.last(passed)
            if pid in beating or (question is not None and known.seconds > self.limit / SHARE and question()):
                known.hear()
            if known.exceeds(self.limit):
                found.append(name)
                known.seconds = 0.0  # it is told once; what can't even be killed is told again
        return found

    def _beating(self) -> set[int]:
        """Processes that beat since the last look. The kernel vouches for their numbers."""
        pids = set()
        with contextlib.suppress(BlockingIOError):
            while True:
                _, extras, _, _ = self.socket.recvmsg(256, socket.CMSG_SPACE(12))
                for level, kind, data in extras:
                    if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                        pids.add(struct.unpack("3i", data[:12])[0])
        return pids

    def close(self) -> None:
        self.socket.close()
        self.path.unlink(missing_ok=True)


def told(path: Path, limit: float, environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` with where children beat, and how often; without our own, where we are watched ourselves."""
    kept = {name: value for name, value in environ.items() if name not in ("WATCHDOG_PID", *WATCHED)}
    return kept | dict(zip(WATCHED, (str(path), str(int(limit * 1e6))), strict=True)) if limit else kept


def processor_seconds(pid: int) -> float:
    """The processor time that a process has used; 0 if it is gone."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3), which Python doesn't have
    except OSError:
        return 0.0


class Question:
    """Whether a server gives one of ``answers``. Never blocks for long: a request stays open between two looks."""

    def __init__(self, address: tuple[str, int] | str, request: bytes, *answers: bytes) -> None:
        self.address, self.request, self.answers = address, request, answers
        ipv6 = not isinstance(address, str) and ":" in address[0]
        self.family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ipv6 else socket.AF_INET
        self.probe: socket.socket | None = None

    def __call__(self) -> bool:
        try:
            if self.probe is None:
                self.probe = self._ask()
            answer = self.probe.recv(64)
        except BlockingIOError:
            return False
        except OSError:
            answer = b""
        if self.probe is not None:
            self.probe.close()
            self.probe = None
        return answer.startswith(self.answers)

    def _ask(self) -> socket.socket:
        probe = socket.socket(self.family, socket.SOCK_STREAM)
        try:
            probe.settimeout(0.5)
            probe.connect(self.address)
            probe.sendall(self.request)
            probe.setblocking(False)
        except OSError:
            probe.close()
            raise
        return probe
