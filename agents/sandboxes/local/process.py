"""Starting and ending sandbox processes.

All of them are started by one thread that lives as long as the host: bubblewrap's
die-with-parent is bound to the *thread* that started it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import threading
from concurrent.futures import Future, wait
from pathlib import Path
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING

from agents.sandboxes.base import SandboxError, SandboxUnavailable
from agents.sandboxes.boxes import seccomp
from agents.sandboxes.egress import receive_listener
from agents.sandboxes.link import is_ready
from agents.sandboxes.local import arguments, binary
from agents.sandboxes.local.nursery import Nursery
from agents.sandboxes.local.spawn import Started, piped, settle, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agents.sandboxes.boxes.layout import Box
    from agents.sandboxes.boxes.mounts import Mount

log = logging.getLogger("holdfast.sandboxes")

START_SECONDS = 20.0
KILL_SECONDS = 5.0
PIPE_BYTES = 1024 * 1024  # what an ordinary user may ask for


class Process:
    """One bubblewrap with the runner inside. ``stdin`` and ``stdout`` carry the runner's pipe."""

    def __init__(self, outer: Started, init_pid: int, status: IO[bytes]) -> None:
        self._outer = outer
        # Held open: bubblewrap writes the exit status there, and would die of a closed pipe.
        self._status = status
        self.init_pid = init_pid
        self._init = os.pidfd_open(init_pid)
        self._lock = threading.Lock()
        self.stdin, self.stdout, self._stderr = outer.stdin, outer.stdout, outer.stderr

    def take_in(self, nursery: Nursery, user: int | None, task: str, *way: int) -> None:
        """Once the sandbox is made, have a fork of the nursery be its runner, to which the pipes lead from then on.

        ``way``: on which its door is handed out. Raises ``SandboxError`` for the sandbox, ``OSError`` for the nursery.
        """
        with contextlib.suppress(OSError):
            self.stdin.write(b"\n")
            self.stdin.flush()
        if not is_ready(self.stdout, START_SECONDS) or not self.stdout.readline():
            raise SandboxError(f"bubblewrap did not start: {self.errors() or 'no reason given'}")
        self.stdout.close()
        with piped(PIPE_BYTES) as (ours, theirs):
            if not nursery.bear(user, task, (*theirs, self._init, *way)):
                raise SandboxError(f"No runner could enter the sandbox: {_read_now(ours[2]) or 'no reason given'}")
            self.stdin, self.stdout, self._stderr = ours

    def kill(self) -> None:
        """End the sandbox's first process and with it all others; safe to call twice.

        By pidfd, so that a number used again cannot be hit; killing the outer bubblewrap
        instead would leave zombies.
        """
        with self._lock:
            if self._init < 0:
                return
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init, signal.SIGKILL)
            os.close(self._init)
            self._init = -1
        if self._outer.wait(KILL_SECONDS) is None:
            self._outer.kill()
            self._outer.wait(KILL_SECONDS)

    def wait(self, seconds: float) -> int | None:
        """Exit status, or None if it has not ended in time."""
        return self._outer.wait(seconds)

    def errors(self) -> str:
        """What was printed to stderr so far, at most 4,000 characters."""
        return _read_now(self._stderr)

    def close(self) -> None:
        """Kill, and close the pipes. Call only when nobody reads them any more."""
        self.kill()
        self._outer.close()
        for pipe in (self.stdin, self.stdout, self._stderr, self._status):
            with contextlib.suppress(OSError):
                pipe.close()


class Spawner:
    """The thread that starts every sandbox of this host."""

    def __init__(self, runtime: binary.Runtime) -> None:
        self._runtime = runtime
        self._filter = seccomp.build()
        self._settled = False
        self._nursery: Nursery | None = None
        self._warming = threading.Lock()
        self._jobs: SimpleQueue[tuple[Callable[[], Process], Future[Process]]] = SimpleQueue()
        threading.Thread(target=self._work, name="sandbox-spawner", daemon=True).start()

    def start(self, box: Box, *runner_arguments: str) -> Process:
        """Start the runner in ``box`` for an errand; raises ``SandboxError`` with bubblewrap's own words."""
        return self._by_the_thread(lambda: self._start(box, runner_arguments))

    def serve(self, box: Box, mounts: Sequence[Mount] = ()) -> Process:
        """Start the runner in ``box``, serving calls. ``mounts``: what is shown besides."""
        return self._serve(box, mounts)

    def serve_with_door(self, box: Box, trust: Path, mounts: Sequence[Mount] = ()) -> tuple[Process, socket.socket]:
        """The same, and receive the socket on which the sandbox's programs ask for a proxy."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = self._serve(box, mounts, trust, theirs.fileno())
            try:
                return process, receive_listener(ours, START_SECONDS)
            except (OSError, ValueError):
                said = process.errors()
                process.close()
                raise SandboxError(f"The sandbox handed no proxy port out: {said or 'no reason given'}") from None

    def warm_up(self, box: Box) -> str | None:
        """Have a fork of the nursery look from inside ``box`` whether it is confined as it must be: only then runners
        are such forks. What is wrong otherwise; they are programs of their own then, which takes longer to start.
        """
        with self._warming:
            nursery = self._nursery
            try:
                nursery = nursery or Nursery(self._runtime, self._filter)
                fault = self._look(nursery, box)
            except (OSError, SandboxError) as error:
                fault = str(error)
            if fault is None:
                self._nursery = nursery
            elif nursery is not None:
                self._give_up(nursery)
            return fault

    def close(self) -> None:
        """End the nursery; sandboxes stay as they are."""
        if self._nursery is not None:
            self._give_up(self._nursery)

    def _look(self, nursery: Nursery, box: Box) -> str | None:
        process = self._by_the_thread(lambda: self._start(box))
        try:
            process.take_in(nursery, box.uid, "check")
            said = process.stdout.readline() if is_ready(process.stdout, START_SECONDS) else b""
            return None if said == b"closed\n" else process.errors() or "no reason given"
        finally:
            process.close()

    def _give_up(self, nursery: Nursery) -> None:
        if self._nursery is nursery:  # and not one that was warmed up since
            self._nursery = None
        nursery.close()

    def _serve(self, box: Box, mounts: Sequence[Mount], trust: Path | None = None, door: int | None = None) -> Process:
        way = () if door is None else (door,)
        nursery = self._nursery
        if nursery is not None:
            process = self._by_the_thread(lambda: self._start(box, (), mounts, trust))
            try:
                process.take_in(nursery, box.uid, "serve", *way)
                return process
            except SandboxError:
                process.close()
                raise
            except OSError as error:
                process.close()
                log.warning("the nursery is given up, runners start anew: %s", error)
                self._give_up(nursery)
        return self._by_the_thread(lambda: self._start(box, ("serve", *map(str, way)), mounts, trust, way))

    def _by_the_thread(self, job: Callable[[], Process]) -> Process:
        future: Future[Process] = Future()
        self._jobs.put((job, future))
        if not wait([future], 2 * START_SECONDS).done:
            future.cancel()
            future.add_done_callback(_close_unwanted)
            raise SandboxUnavailable("The machine is too busy to start a sandbox in time; try again later.")
        return future.result()

    def _work(self) -> None:
        while True:
            job, future = self._jobs.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)

    def _start(
        self,
        box: Box,
        runner_arguments: Sequence[str] = (),
        mounts: Sequence[Mount] = (),
        trust: Path | None = None,
        kept: tuple[int, ...] = (),
    ) -> Process:
        """Start the runner so told, or without arguments only what keeps a sandbox that a runner is to enter."""
        runtime = self._runtime = binary.renewed(self._runtime)
        options = "\0".join(arguments.options(runtime, box, trust, mounts)).encode() + b"\0"
        status_read, status_write = os.pipe()
        held = [status_write, _memory(options), _memory(self._filter)]
        bwrap = ["bwrap", "--args", str(held[1]), "--seccomp", str(held[2])]
        told = arguments.command(runtime, *runner_arguments) if runner_arguments else arguments.waiting()
        bwrap += ["--json-status-fd", str(status_write), "--", *told]
        try:
            if not self._settled:
                settle()
                self._settled = True
            # As root: the session's own uid. Started by uid 0 it would map the sandbox's user to the host's root.
            outer = spawn(runtime.bwrap, bwrap, box.uid, (*held, *kept), PIPE_BYTES)
        except OSError as error:
            os.close(status_read)
            raise SandboxError(f"bubblewrap could not be started: {error}") from error
        finally:
            for fd in held:
                os.close(fd)
        return _started(outer, os.fdopen(status_read, "rb"))


def _close_unwanted(future: Future[Process]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().close()


def _started(outer: Started, status: IO[bytes]) -> Process:
    line = status.readline() if is_ready(status, START_SECONDS) else b""
    try:
        return Process(outer, int(json.loads(line)["child-pid"]), status)
    except (ValueError, KeyError, OSError):
        outer.kill()
        outer.wait(KILL_SECONDS)
        text = _read_now(outer.stderr) or "no reason given"
        outer.close()
        status.close()
        raise SandboxError(f"bubblewrap did not start: {text}") from None


def _memory(data: bytes) -> int:
    fd = os.memfd_create("holdfast")
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _read_now(stream: IO[bytes]) -> str:
    if not is_ready(stream, 0.2):
        return ""
    return os.read(stream.fileno(), 4000).decode("utf-8", "replace").strip()


def start_time(pid: int) -> int:
    """Start time in clock ticks since boot, 0 if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    return int(stat.rpartition(b")")[2].split()[19])
