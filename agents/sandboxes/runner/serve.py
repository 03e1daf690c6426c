"""The runner's loop: JSON lines in, JSON lines out.

In:   the hello (limits, environment, directories), then
      ``{"op": "call", "id", "name", "input", "label", "lane"}`` and ``{"op": "interrupt", "id" | null}``.
Out:  ``{"ready": true}``, then per call any number of ``{"id", "out"}`` and one
      ``{"id", "content", "is_error", "outputs", "ms"}``.
End of input ends the process, and with it, as it is the first of its PID namespace, everything.
"""

from __future__ import annotations

import os
import time

from . import lines
from .bare import Flag, Lock
from .confine import hide_from_siblings, set_rlimits
from .crew import Crew
from .toolbox import Toolbox, list_outputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FILE_THREADS = 4
SHELL_THREADS = 256  # of lanes that run a command at one time


class _Heard(Flag):
    """Of a call in the thread that hears the host, which goes on hearing while it waits."""

    fd = 0

    def __init__(self, heed: Callable[[], None]) -> None:
        super().__init__()
        self.heed = heed  # type: ignore[method-assign]


class Server:
    """Hears the host in one thread, which also does what is asked if it is a command and nothing else is on hand: most
    sandboxes do one thing at a time, and to wake another thread for it would take as long as most of the rest.
    """

    def __init__(self, toolbox: Toolbox, source: lines.Lines) -> None:
        self._toolbox, self._source = toolbox, source
        self._write_lock = Lock()
        self._stops: dict[Any, Flag] = {}
        self._is_at_work = False
        self._files, self._shells = Crew(self._run, FILE_THREADS), Crew(self._run, SHELL_THREADS)

    def hear(self) -> None:
        """Wait for the host to say something, and see to it."""
        self.see_to(self._source.take())

    def see_to(self, said: list[bytes]) -> None:
        for place, line in enumerate(said, 1):
            self._dispatch(lines.read(line), is_last=place == len(said))

    def _dispatch(self, message: dict[str, Any], *, is_last: bool) -> None:
        if message["op"] == "call":
            here = is_last and not self._is_at_work and message["name"] == "bash"
            self._stops[message["id"]] = _Heard(self.hear) if here else Flag()
            if here:
                self._is_at_work = True
                self._run(message)
                self._is_at_work = False
            else:  # the host sends a lane's next command when the one before has ended
                self._do_beside(self._shells if message["name"] == "bash" else self._files, message)
        elif message["op"] == "interrupt":
            for number, stop in list(self._stops.items()):
                if message["id"] is None or message["id"] == number:
                    stop.set()

    def _do_beside(self, crew: Crew, job: dict[str, Any]) -> None:
        """Have another thread do it. Where there can be none it has failed, and not the command that is waited for."""
        try:
            crew.give(job)
        except RuntimeError:
            text = "%s: not started, since the sandbox is out of processes" % job["name"]
            self._answer(job["id"], [{"type": "text", "text": text}], is_error=True, begun=time.perf_counter())

    def _run(self, job: dict[str, Any]) -> None:
        number, begun = job["id"], time.perf_counter()

        def emit(text: str) -> None:
            self.send({"id": number, "out": text})

        stop = self._stops[number]
        content, is_error = self._toolbox.call(job["name"], job["input"], job["label"], job["lane"], emit, stop)
        self._answer(number, content, is_error=is_error, begun=begun)

    def _answer(self, number: Any, content: list[dict[str, Any]], *, is_error: bool, begun: float) -> None:
        self._stops.pop(number, None)
        answer: dict[str, Any] = {"id": number, "content": content, "is_error": is_error}
        answer["outputs"] = list_outputs(self._toolbox.outputs)
        answer["ms"] = (time.perf_counter() - begun) * 1000
        self.send(answer)

    def send(self, message: dict[str, Any]) -> None:
        data = memoryview(lines.written(message))
        with self._write_lock:
            while data:
                data = data[os.write(1, data) :]


def main() -> None:
    """Read the hello, confine this process, then serve until the input ends."""
    source = lines.Lines(0)
    first: list[bytes] = []
    while not first:
        first = source.take()
    hello = lines.read(first[0])
    set_rlimits(hello["limits"])
    hide_from_siblings()
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    server = Server(Toolbox(hello), source)
    server.send({"ready": True})
    try:
        server.see_to(first[1:])
        while True:
            server.hear()
    finally:
        os._exit(0)  # whatever still runs in a thread ends with this
