"""The demo on a loopback port: HTTP/1.1 with chunked bodies, one thread a connection.

``wsgiref`` ends every stream by closing it, so a cut connection would look like a finished
one; here a broken stream lacks its last chunk and is reset, as a real one would be.
"""

from __future__ import annotations

import socket
import struct
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from agents.providers.demo.app import DemoApp
from agents.providers.demo.hooks import Dropped

if TYPE_CHECKING:
    from collections.abc import Iterable

IDLE_SECONDS = 60.0


class DemoServer(ThreadingHTTPServer):
    """Serves one ``DemoApp``; ``url`` is what a client's ``base_url`` must be."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        super().__init__((host, port), _Handler)
        self.app = DemoApp()

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients come and go; their resets are not worth a traceback on the terminal."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    server: DemoServer

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing per request: prompts do not belong on a terminal."""

    def _serve(self) -> None:
        body = self.server.app(self._environ(), self._start)
        try:
            self._send(body)
        except Dropped:
            self._reset()
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()

    def _environ(self) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": self.headers.get("content-length", ""),
            "wsgi.input": self.rfile,
        }
        for name, value in self.headers.items():
            environ["HTTP_" + name.upper().replace("-", "_")] = value
        return environ

    def _start(self, status: str, headers: list[tuple[str, str]]) -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        if int(code) >= 400:
            # The request's body may not have been read; what is left of it is not a request.
            self.send_header("connection", "close")
            self.close_connection = True
        self.end_headers()

    def _send(self, body: Iterable[bytes]) -> None:
        for piece in body:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _reset(self) -> None:
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
