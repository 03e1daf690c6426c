"""The demo model behind a clock, cheap enough to take little from the machine that is measured."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agents.providers.demo.app import DemoApp

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "bench-model"
START_SECONDS = 10.0


class TimedModel:
    """A Messages API server that notes its own idle times: ``gaps``, milliseconds, of one conversation at a time.

    One event loop serves every connection: hundreds of threads, each with a system call a frame, took more of the
    processor than the installation's database. The frames of a reply leave in one write, each a chunk of its own.
    """

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self.thinking = 0.0  # seconds before each reply
        self.url = ""
        self.connections: set[asyncio.Transport] = set()
        self._app = DemoApp()
        self._ended: float | None = None
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    def forget(self) -> None:
        """Start measuring a new conversation."""
        self.gaps, self._ended = [], None

    def start(self) -> None:
        self._thread.start()
        if not self._started.wait(START_SECONDS):
            raise TimeoutError("The model's server did not start.")

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_SECONDS)

    def answer(self, connection: _Connection, environ: dict[str, Any], arrived: float) -> None:
        """Send a reply to a request, the last of which arrived at that moment, when the model has thought about it."""
        asked = environ["REQUEST_METHOD"] == "POST"
        if asked and self._ended is not None:
            self.gaps.append((arrived - self._ended) * 1000)
        head: list[bytes] = []
        body = [b"%x\r\n%b\r\n" % (len(frame), frame) for frame in self._app(environ, _starting(head)) if frame]
        reply = b"".join([*head, *body, b"0\r\n\r\n"])
        self._loop.call_later(self.thinking if asked else 0.0, self._send, connection, reply, asked)

    def _send(self, connection: _Connection, reply: bytes, asked: bool) -> None:
        if asked:
            self._ended = time.perf_counter()  # before it wakes the reader, who may take this processor first
        connection.send(reply)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        opening = self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=1024)
        server = self._loop.run_until_complete(opening)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._started.set()
        self._loop.run_forever()
        server.close()
        for connection in list(self.connections):
            connection.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


class _Connection(asyncio.Protocol):
    """Requests of one client, one after the other; a body's length is what its header says."""

    def __init__(self, model: TimedModel) -> None:
        self._model = model
        self._read = bytearray()
        self._environ: dict[str, Any] | None = None  # once a request's head has come
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._model.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._model.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        arrived = time.perf_counter()
        self._read += data
        if self._environ is None:
            end = self._read.find(b"\r\n\r\n")
            if end < 0:
                return
            self._environ = _environ(self._read[:end].decode("latin-1"))
            del self._read[: end + 4]
        length = int(self._environ["CONTENT_LENGTH"])
        if len(self._read) < length:
            return
        environ, self._environ = self._environ, None
        environ["wsgi.input"] = io.BytesIO(self._read[:length])
        del self._read[:length]
        self._model.answer(self, environ, arrived)

    def send(self, reply: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(reply)


def _environ(head: str) -> dict[str, Any]:
    """A request's line and headers, as WSGI names them."""
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}
    for line in lines:
        name, _, value = line.partition(":")
        environ["HTTP_" + name.upper().replace("-", "_")] = value.strip()
    environ["CONTENT_LENGTH"] = environ.get("HTTP_CONTENT_LENGTH", "0")
    return environ


def _starting(head: list[bytes]) -> Any:
    """WSGI's ``start_response``: puts the head of a chunked answer into ``head``."""

    def start(status: str, headers: list[tuple[str, str]]) -> None:
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "transfer-encoding: chunked"]
        head.append(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    return start


@contextmanager
def served() -> Iterator[TimedModel]:
    """The model on a loopback port while the block runs."""
    model = TimedModel()
    model.start()
    try:
        yield model
    finally:
        model.stop()
