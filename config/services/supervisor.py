"""One loop over children: start, wait until ready, keep their logs, restart what dies, end all in order.

Single-threaded on purpose: the kernel ties a child's death signal to the thread that spawned it.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import signal
import socket
import time
from typing import TYPE_CHECKING

from config.services.forked import Nursery, reap_strangers
from config.services.logs import BoundedLog
from config.services.service import Child, Service
from contract.watchdog import Heart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from config.services.watch import Watch

TICK_SECONDS = 0.02
IDLE_SECONDS = 1.0


class Stop(Exception):
    """SIGINT or SIGTERM arrived."""


class ServiceFailed(Exception):
    """A service did not come up. The message is for the operator and ends with the last lines of its log."""


class Supervisor:
    """Runs services. `log_dir` gets a file for each, `pid_file` a JSON object of name to process id.

    `watch` tells which of them hang; without it none is taken for dead while it runs.
    """

    def __init__(self, log_dir: Path, pid_file: Path, say: Callable[[str], None], watch: Watch | None = None) -> None:
        log_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log_dir, self.pid_file, self.say = log_dir, pid_file, say
        self.children: dict[str, Child] = {}
        self.nursery: Nursery | None = None
        self.watching = watch
        self.heart = Heart()  # somebody may watch us, too
        self.stopping = False
        self.signals = 0
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ)

    def install_signals(self) -> None:
        signal.set_wakeup_fd(self._wake_out.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _on_signal(self, number: int, frame: object) -> None:
        self.signals += 1

    def start(self, *services: Service) -> None:
        for service in services:
            child = Child(service, BoundedLog(self.log_dir / f"{service.name}.log"))
            self.children[service.name] = child
            self._spawn(child)

    def _spawn(self, child: Child) -> None:
        child.start(self.nursery)
        self._selector.register(child.pipe, selectors.EVENT_READ, child)
        self._write_pids()

    def wait_ready(self, services: Sequence[Service], timeout: float) -> None:
        """Until every one of `services` is ready (`once` steps: has ended well). Raises ServiceFailed, or Stop."""
        deadline = time.monotonic() + timeout
        children = [self.children[service.name] for service in services]
        while late := [child for child in children if not self._settled(child)]:
            if time.monotonic() > deadline:
                raise self._failed(late[0], f"was not ready after {timeout:.0f} seconds")
            self._turn(TICK_SECONDS, restart=False)

    def _settled(self, child: Child) -> bool:
        if child.alive:
            return not child.service.once and child.check_ready()
        self._drain(child)
        code = child.process.returncode if child.process else None
        if child.service.once and code == 0:
            if self.children.pop(child.service.name, None):
                child.log.close()
            return True
        raise self._failed(child, f"ended with {_describe(code)} while starting")

    def _failed(self, child: Child, what: str) -> ServiceFailed:
        lines = "".join(f"\n    {line}" for line in child.log.tail)
        return ServiceFailed(f"{child.service.name} {what}; its log is {child.log.path}{lines}")

    def watch(self) -> None:
        """Until told to stop (raises Stop): keep logs flowing and restart what dies."""
        while True:
            self._turn(IDLE_SECONDS, restart=True)

    def _turn(self, timeout: float, *, restart: bool) -> None:
        if self.signals and not self.stopping:
            raise Stop
        now = time.monotonic()
        due = [child.restart_at - now for child in self.children.values() if restart and child.restart_at is not None]
        for key, _ in self._selector.select(max(0.0, min([timeout, *due]))):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    self._wake_in.recv(4096)
            elif key.data.pump() < 0:
                self._selector.unregister(key.fd)
        if restart:
            self.heart.beat()
            self._end_hanging()
            self._restart_dead()
            reap_strangers({child.process.pid for child in self.children.values() if child.process is not None})

    def _end_hanging(self) -> None:
        """Kill what is frozen or stuck, as if it had died."""
        if self.watching is None:
            return
        alive = {
            name: (child.process.pid, child.service.question)
            for name, child in self.children.items()
            if child.process is not None and child.alive and child.service.watched
        }
        for name in self.watching.silent(alive, time.monotonic()):
            told = f"{name} has said nothing for more than {self.watching.limit:.0f} s; it is killed"
            self.say(told)
            self.children[name].log.write(f"supervisor: {told}\n".encode())
            self.children[name].signal(signal.SIGKILL)

    def _restart_dead(self) -> None:
        now = time.monotonic()
        for child in self.children.values():
            if child.alive:
                child.check_ready()
            elif child.restart_at is None:
                self._drain(child)
                code = child.process.returncode if child.process else None
                delay = child.plan_restart(now)
                self.say(f"{child.service.name} ended with {_describe(code)}; starting it again in {delay:.1f} s")
            elif child.restart_at <= now:
                self._spawn(child)

    def _drain(self, child: Child) -> None:
        """The rest of a dead child's output. Its descriptor is let go so that the next start gets a clean one."""
        if child.process is None or child.process.stdout is None or child.process.stdout.closed:
            return
        with contextlib.suppress(KeyError):
            self._selector.unregister(child.pipe)
        while child.pump() > 0:
            continue
        child.process.stdout.close()

    def stop(self, *groups: Sequence[str]) -> None:
        """End children group by group by their own signals, late ones by SIGKILL; a second Ctrl-C skips the waiting."""
        self.stopping = True
        named = {name for group in groups for name in group}
        rest = [name for name in self.children if name not in named]
        for group in (rest, *groups):
            self._stop_group([self.children[name] for name in group if name in self.children])
        self.children.clear()
        self.pid_file.unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        if signal.getsignal(signal.SIGTERM) == self._on_signal:
            signal.set_wakeup_fd(-1)
        if self.watching is not None:
            self.watching.close()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _stop_group(self, children: list[Child]) -> None:
        began = time.monotonic()
        for child in children:
            child.signal(child.service.stop_signal)
        while alive := [child for child in children if child.alive]:
            waited = time.monotonic() - began
            for child in alive:
                if waited > child.service.stop_seconds or self.signals > 1:
                    child.signal(signal.SIGKILL)
            self._turn(TICK_SECONDS, restart=False)
        for child in children:
            self._drain(child)
            child.log.close()

    def _write_pids(self) -> None:
        pids = {name: child.process.pid for name, child in self.children.items() if child.process}
        draft = self.pid_file.with_suffix(".draft")
        draft.write_text(json.dumps(pids), encoding="utf-8")
        draft.replace(self.pid_file)


def _describe(code: int | None) -> str:
    if code is None:
        return "no exit status"
    return signal.Signals(-code).name if code < 0 else f"exit status {code}"
