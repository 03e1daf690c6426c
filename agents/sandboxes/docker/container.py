"""A container with the runner inside, as ``link.Process`` wants it."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import socket
import threading
from typing import IO, TYPE_CHECKING, Any, cast

from docker.utils.socket import STDERR, frames_iter_no_tty

from agents.sandboxes.docker.engine import raw

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from agents.sandboxes.docker.engine import Engine

PIPE_BYTES = 1024 * 1024  # what an ordinary user may ask for
ERROR_BYTES = 4_000
ERROR_SECONDS = 0.2


class _Input(io.RawIOBase):
    """The sending half of the attached socket; closing it is the end of the runner's input."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        return self._sock.send(data)

    def close(self) -> None:
        if not self.closed:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)
        super().close()


class Container:
    """One started container. ``stdin`` and ``stdout`` carry the runner's pipe."""

    def __init__(self, engine: Engine, container: str, stream: Any, init_pid: int) -> None:
        self._engine, self._id, self._stream = engine, container, stream
        self.init_pid = init_pid
        self.stdin: IO[bytes] = cast("IO[bytes]", io.BufferedWriter(_Input(raw(stream))))
        reading, self._writing = os.pipe()
        fcntl.fcntl(self._writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.stdout: IO[bytes] = os.fdopen(reading, "rb")
        self._said = bytearray()
        self._heard = threading.Event()
        self._lock = threading.Lock()
        self._killed = False
        self._reader = threading.Thread(target=self._divide, name="sandbox-streams", daemon=True)
        self._reader.start()

    def kill(self) -> None:
        """End the container's first process and with it all others; safe to call twice."""
        with self._lock:
            self._killed = self._killed or self._engine.kill(self._id)

    def wait(self, seconds: float) -> int | None:
        """Exit status, or None if it has not ended in time."""
        return self._engine.wait(self._id, seconds)

    def errors(self) -> str:
        """What was printed to stderr so far, at most 4,000 characters."""
        self._heard.wait(ERROR_SECONDS)
        return self._said.decode("utf-8", "replace").strip()

    def close(self) -> None:
        """Kill, remove, and close the streams. Call only when nobody reads them any more."""
        self.kill()
        self._engine.remove(self._id)
        with contextlib.suppress(OSError, ValueError):
            self.stdin.close()
        with contextlib.suppress(OSError):
            raw(self._stream).shutdown(socket.SHUT_RDWR)
        self.stdout.close()
        self._reader.join()
        self._stream.close()

    def _divide(self) -> None:
        """Both outputs come in frames on one stream; the reader of ``stdout`` gets its own, unframed."""
        try:
            for kind, data in frames_iter_no_tty(self._stream):
                if kind == STDERR:
                    self._said += data[: ERROR_BYTES - len(self._said)]
                    self._heard.set()
                else:
                    self._pass_on(data)
        except (OSError, ValueError):
            return  # closed, by one side or the other
        finally:
            self._heard.set()
            os.close(self._writing)

    def _pass_on(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._writing, left) :]
