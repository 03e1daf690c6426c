"""What the supervisor needs to know about one service, and the child process that runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.services import kernel
from config.services.watch import WATCHED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from config.services.forked import Forked, Nursery
    from config.services.logs import BoundedLog

BACKOFF_FIRST_SECONDS = 0.1
BACKOFF_MAX_SECONDS = 15.0
SETTLED_SECONDS = 20.0  # alive this long: the next death starts the backoff anew


def always_ready() -> bool:
    return True


def nothing() -> None:
    """No preparation."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One child. `before` runs ahead of every start (stale files); `ready` is asked until it says yes, and is quick."""

    name: str
    argv: Sequence[str | Path]
    cwd: Path
    env: Mapping[str, str]
    before: Callable[[], None] = nothing
    ready: Callable[[], bool] = always_ready
    ready_text: str = ""  # or: ready once its output holds this
    identity: kernel.Identity = kernel.Identity.SAME
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 5.0
    death_signal: signal.Signals = signal.SIGKILL
    pass_fds: tuple[int, ...] = ()
    once: bool = False  # a step of the start, not something to restart
    forked: bool = False  # off the nursery, which has loaded what the program imports
    question: Callable[[], bool] | None = None  # of one that doesn't beat: whether it lives, without waiting for that

    @property
    def watched(self) -> bool:
        """Whether its silence means something: it was told where to beat, or can be asked."""
        return not self.once and (self.question is not None or WATCHED[0] in self.env)


@dataclass
class Child:
    """A service's process over its restarts."""

    service: Service
    log: BoundedLog
    process: subprocess.Popen[bytes] | Forked | None = None
    started: float = 0.0
    failures: int = 0
    restart_at: float | None = None
    seen: str = ""
    is_ready: bool = False

    def start(self, nursery: Nursery | None = None) -> None:
        self.service.before()
        self.is_ready, self.seen, self.restart_at = False, "", None
        self.started = time.monotonic()
        forked = nursery.fork(self.service) if nursery is not None and self.service.forked else None
        self.process = forked or self._executed()
        os.set_blocking(self.pipe, False)

    def _executed(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(part) for part in self.service.argv],
            cwd=self.service.cwd,
            env=dict(self.service.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,  # Ctrl-C reaches the supervisor only, which ends the rest in order
            pass_fds=self.service.pass_fds,
            preexec_fn=kernel.setup(self.service.death_signal, self.service.identity),  # noqa: PLW1509 - one thread here
        )

    @property
    def pipe(self) -> int:
        if self.process is None or self.process.stdout is None:
            raise ValueError(f"{self.service.name} has not been started")
        return self.process.stdout.fileno()

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def pump(self) -> int:
        """Move what the child printed to its log: bytes moved, 0 when there is nothing yet, -1 at the end."""
        try:
            data = os.read(self.pipe, 65536)
        except BlockingIOError:
            return 0
        if not data:
            return -1
        self.log.write(data)
        if self.service.ready_text and not self.is_ready:
            self.seen = (self.seen + data.decode("utf-8", "replace"))[-4096:]
        return len(data)

    def check_ready(self) -> bool:
        if not self.is_ready and self.alive:
            self.is_ready = self.service.ready_text in self.seen if self.service.ready_text else self.service.ready()
        return self.is_ready

    def plan_restart(self, now: float) -> float:
        """Seconds until the next start: short at first, doubling while it keeps dying young.

        A process that was killed from outside is not to blame for it, and is started again at once.
        """
        killed = self.process is not None and self.process.poll() == -signal.SIGKILL
        if killed or now - self.started > SETTLED_SECONDS:
            self.failures = 0
        delay: float = min(BACKOFF_FIRST_SECONDS * 2**self.failures, BACKOFF_MAX_SECONDS)
        self.failures = min(self.failures + 1, 16)
        self.restart_at = now + delay
        return delay

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.alive:
            self.process.send_signal(number)
