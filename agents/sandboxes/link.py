"""One running sandbox: the runner's pipe, the calls on their way, and the journal's rules.

Everything that comes out of the pipe was produced next to the agent's own processes and is
treated as hostile: sizes, types and texts are checked before they are believed.
"""

from __future__ import annotations

import json
import logging
import select
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Any, Protocol

from agents.sandboxes.base import OUTPUTS, WORKSPACE, CallResult, SandboxError, SandboxLost, SandboxSpec
from agents.sandboxes.results import answer_from, clean, result_from, result_to, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agents.sandboxes.journal import Journal

log = logging.getLogger("holdfast.sandboxes")

LINE_BYTES = 40 * 1024 * 1024
LIVE_CHARACTERS = 512 * 1024
READY_SECONDS = 20.0
FILE_TOOL_SECONDS = 150.0
GRACE_SECONDS = 20.0


def is_ready(stream: IO[bytes], seconds: float) -> bool:
    """Whether there is something to read, or the end, in time. Not by ``select``, which knows no descriptor > 1023."""
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


class Process(Protocol):
    """A started runner, whatever started it."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    init_pid: int

    def kill(self) -> None:
        """End every process of the sandbox; safe to call twice."""

    def wait(self, seconds: float) -> int | None:
        """Exit status, or None if it has not ended in time."""

    def errors(self) -> str:
        """What was printed to stderr so far, bounded."""

    def close(self) -> None:
        """Kill, and close the pipes."""


@dataclass(slots=True)
class Call:
    """One call on its way; once it is ``over`` it has a ``result``, or a ``fault`` if it was never started."""

    call_id: str
    number: int
    name: str
    input: Mapping[str, Any]
    seconds: float
    lane: str = ""
    started_at: float | None = None
    result: CallResult | None = None
    fault: SandboxError | None = None
    over: bool = False
    live: int = 0
    listeners: list[SimpleQueue[str | None]] = field(default_factory=list)

    def output(self) -> Iterator[str]:
        """The pieces of its live output from now on; ends when the call is over."""
        queue: SimpleQueue[str | None] = SimpleQueue()
        self.listeners.append(queue)
        if self.over:  # perhaps before anybody could see the new queue
            queue.put(None)
        return iter(queue.get, None)

    def end(self) -> None:
        self.over = True
        for queue in self.listeners:
            queue.put(None)


class Link:
    """A running sandbox. Thread-safe; shell calls of a lane run one after another, file tools beside them."""

    def __init__(self, spec: SandboxSpec, process: Process, journal: Journal) -> None:
        self.spec = spec
        self.process = process
        self.journal = journal
        self.last_used = self.last_checked = time.monotonic()
        self.lost: str | None = None
        self.ended = threading.Event()
        self._lock = threading.RLock()
        self._write_lock = threading.Lock()
        self._calls: dict[str, Call] = {}
        self._by_number: dict[int, Call] = {}
        self._shells: dict[str, deque[Call]] = {}
        self._number = 0
        self._greet()
        threading.Thread(target=self._read, name=f"sandbox-{spec.sandbox_id}", daemon=True).start()

    @property
    def busy(self) -> bool:
        return bool(self._calls)

    def idle_seconds(self) -> float:
        return 0.0 if self.busy else time.monotonic() - self.last_used

    def overdue(self) -> Call | None:
        """A call the runner should have ended long ago by its own clock."""
        now = time.monotonic()
        # Without the lock: its holder may be stuck on a pipe that a stopped runner does not read.
        running = [c for c in list(self._calls.values()) if c.started_at is not None]
        return next((c for c in running if now - (c.started_at or now) > c.seconds + GRACE_SECONDS), None)

    def begin(
        self, call_id: str, name: str, tool_input: Mapping[str, Any], reattempt: bool, lane: str = ""
    ) -> Call | CallResult:
        """Decide by the journal what becomes of this call (see ``SandboxBackend.call``)."""
        with self._lock:
            self.last_used = time.monotonic()
            running = self._calls.get(call_id)
            if running is not None:
                return running
            known = self._recorded(call_id)
            if known is not None:
                return known
            if self.lost is not None:
                raise SandboxLost(self.lost)
            if reattempt and not self.journal.reaches_back:
                return self._record_unknown(call_id, "an earlier attempt may have reached a sandbox that is gone")
            return self._enqueue(call_id, name, tool_input, lane)

    def interrupt(self, call_id: str | None) -> None:
        """Stop one call or all; a shell call still waiting its turn ends unstarted."""
        with self._lock:
            chosen = [c for c in self._calls.values() if call_id in (None, c.call_id)]
            waiting = [c for c in chosen if c.started_at is None]
            for call in waiting:
                self._shells[call.lane].remove(call)
                content = [{"type": "text", "text": f"{call.name}: interrupted before it was started"}]
                self._finish(call, CallResult(content, is_error=True))
            for call in chosen:
                if call not in waiting:
                    self._send({"op": "interrupt", "id": call.number})

    def retire(self, reason: str) -> bool:
        """Take no further call; False if one is on its way."""
        with self._lock:
            if self._calls:
                return False
            self.lost = self.lost or reason
            return True

    def end(self, reason: str) -> None:
        """Kill the sandbox; calls on their way end as unknown, those not yet started as lost."""
        self.lost = self.lost or reason
        self.process.kill()

    def _greet(self) -> None:
        hello = {
            "workspace": WORKSPACE,
            "outputs": OUTPUTS,
            "home": "/home/sandbox",
            "script": "/run/holdfast/bash",
            "environment": dict(self.spec.environment),
            "limits": asdict(self.spec.limits),
        }
        self._send(hello)
        try:
            line = self.process.stdout.readline(LINE_BYTES) if is_ready(self.process.stdout, READY_SECONDS) else b""
            ready = json.loads(line or b"null")
        except ValueError:
            ready = None
        if not isinstance(ready, dict) or ready.get("ready") is not True:
            text = self.process.errors()
            self.process.close()
            raise SandboxError(f"The sandbox's runner did not start: {text or 'no reason given'}")

    def _recorded(self, call_id: str) -> CallResult | None:
        state = self.journal.state(call_id)
        if state == "finished":
            return result_from(self.journal.result(call_id) or {})
        if state == "started":
            return self._record_unknown(call_id, "its sandbox ended while it was running")
        if state == "dropped":
            return unknown("it did finish, but its result is no longer kept")
        return None

    def _record_unknown(self, call_id: str, why: str) -> CallResult:
        result = unknown(why)
        self.journal.finished(call_id, result_to(result))
        return result

    def _enqueue(self, call_id: str, name: str, tool_input: Mapping[str, Any], lane: str) -> Call:
        self._number += 1
        call = Call(call_id, self._number, name, tool_input, self._seconds(name, tool_input), lane)
        self._calls[call_id] = call
        if name != "bash":
            self._start(call)
            return call
        queue = self._shells.setdefault(lane, deque())
        queue.append(call)
        if len(queue) == 1:
            self._start(call)
        return call

    def _seconds(self, name: str, tool_input: Mapping[str, Any]) -> float:
        if name != "bash":
            return FILE_TOOL_SECONDS
        asked = tool_input.get("timeout_ms")
        seconds = asked / 1000 if isinstance(asked, int) and asked > 0 else self.spec.limits.call_seconds
        return min(seconds, self.spec.limits.call_seconds_max)

    def _start(self, call: Call) -> None:
        """Have the runner begin, once the journal knows; what it can't be told of is not begun."""
        try:
            self.journal.started(call.call_id, call.name)
        except SandboxError as error:
            call.fault = error
            self._leave(call)
            return
        call.started_at = time.monotonic()
        self._by_number[call.number] = call
        message = {"op": "call", "id": call.number, "name": call.name, "input": dict(call.input)}
        self._send({**message, "label": call.call_id, "lane": call.lane})

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        try:
            with self._write_lock:
                self.process.stdin.write(data)
                self.process.stdin.flush()
        except (OSError, ValueError):
            self.process.kill()

    def _read(self) -> None:
        """The reader thread: lives until the pipe ends, then settles every open call."""
        try:
            while True:
                line = self.process.stdout.readline(LINE_BYTES)
                if not line.endswith(b"\n"):
                    break
                self._take(json.loads(line))
        except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
            self.end("The sandbox sent something that is no answer and was ended.")
        finally:
            self._settle()

    def _take(self, message: dict[str, Any]) -> None:
        call = self._by_number.get(message["id"])
        if call is None:
            return
        if "out" in message:
            self._pass_on(call, clean(message["out"]))
            return
        result = answer_from(message)
        with self._lock:
            self._finish(call, result)

    def _pass_on(self, call: Call, text: str) -> None:
        call.live += len(text)
        if call.live > LIVE_CHARACTERS:
            return
        with self._lock:
            for queue in call.listeners:
                queue.put(text)

    def _finish(self, call: Call, result: CallResult) -> None:
        try:
            self.journal.finished(call.call_id, result_to(result))
        except SandboxError as error:
            # Whoever waits gets the result; whoever asks again later is told that the outcome is unknown.
            log.warning("the result of %s could not be kept: %s", call.call_id, error)
        call.result = result
        self._leave(call)

    def _leave(self, call: Call) -> None:
        """The call is over: tell who listens, and let the lane's next one begin."""
        self.last_used = time.monotonic()
        self._calls.pop(call.call_id, None)
        self._by_number.pop(call.number, None)
        call.end()
        waiting = self._shells.get(call.lane)
        if waiting and waiting[0] is call:
            waiting.popleft()
            if waiting:
                self._start(waiting[0])
            else:
                del self._shells[call.lane]

    def _settle(self) -> None:
        self.process.kill()
        with self._lock:
            self.lost = self.lost or "The sandbox ended by itself."
            self._shells.clear()
            for call in list(self._calls.values()):
                if call.started_at is not None:
                    self._finish(call, unknown(self.lost))
            for call in list(self._calls.values()):
                call.fault = SandboxLost("The sandbox ended before this call was started; open it again.")
                self._leave(call)
        self.process.close()
        self.ended.set()
