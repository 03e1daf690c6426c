"""The runner's loop: JSON lines in, JSON lines out.

In:   the hello (limits, environment, directories), then
      ``{"op": "call", "id", "name", "input", "label", "lane"}`` and ``{"op": "interrupt", "id" | null}``.
Out:  ``{"ready": true}``, then per call any number of ``{"id", "out"}`` and one
      ``{"id", "content", "is_error", "outputs", "ms"}``.
End of input ends the process, and with it, as it is the first of its PID namespace, everything.
"""

from __future__ import annotations

import os
import sys
import time

from . import lines
from .bare import Flag, Lock
from .confine import hide_from_siblings, set_rlimits
from .crew import Crew
from .toolbox import Toolbox, list_outputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FILE_THREADS = 4
SHELL_THREADS = 256  # of lanes that run a command at one time


class Server:
    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self._write_lock = Lock()
        self._stops: dict[Any, Flag] = {}
        self._files, self._shells = Crew(self._run, FILE_THREADS), Crew(self._run, SHELL_THREADS)

    def dispatch(self, message: dict[str, Any]) -> None:
        if message["op"] == "call":
            self._stops[message["id"]] = Flag()
            if message["name"] == "bash":  # the host sends a lane's next command when the one before has ended
                self._shells.give(message)
            else:
                self._files.give(message)
        elif message["op"] == "interrupt":
            for number, stop in list(self._stops.items()):
                if message["id"] is None or message["id"] == number:
                    stop.set()

    def _run(self, job: dict[str, Any]) -> None:
        number, begun = job["id"], time.perf_counter()

        def emit(text: str) -> None:
            self.send({"id": number, "out": text})

        stop = self._stops[number]
        content, is_error = self._toolbox.call(job["name"], job["input"], job["label"], job["lane"], emit, stop)
        self._stops.pop(number, None)
        answer = {"id": number, "content": content, "is_error": is_error}
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
    source = sys.stdin.buffer
    hello = lines.read(source.readline())
    set_rlimits(hello["limits"])
    hide_from_siblings()
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    server = Server(Toolbox(hello))
    server.send({"ready": True})
    try:
        for line in source:
            server.dispatch(lines.read(line))
    finally:
        os._exit(0)  # whatever still runs in a thread ends with this
