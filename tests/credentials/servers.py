"""A small MCP server and a token endpoint in one, scripted by each test."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Iterator

DONE = {"content": [{"type": "text", "text": "done"}]}
TOOLS = {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}

    @property
    def call(self) -> str:
        return str(json.loads(self.body).get("method", "")) if self.body else ""


@dataclass
class Script:
    """How the server behaves. ``special`` answers an MCP method with (status, content type, body) instead."""

    tokens: set[str] = field(default_factory=lambda: {"good"})
    stream: bool = False  # answers as server-sent events that stay open
    session: str = "visit-1"
    capabilities: dict[str, Any] = field(default_factory=lambda: {"tools": {}})
    special: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)
    location: str = ""
    grant: tuple[int, Any] = (200, {"access_token": "good", "token_type": "Bearer", "expires_in": 3600})
    silent: bool = False  # takes the request and never answers


class Server:
    """Runs until ``stop``. ``url`` is the MCP address, ``token_url`` the token endpoint."""

    def __init__(self) -> None:
        self.script, self.seen, self.leave = Script(), list[Seen](), threading.Event()
        outer = self

        class Handler(_Handler):
            server_object = outer

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self.url, self.token_url = f"http://127.0.0.1:{self.port}/mcp", f"http://127.0.0.1:{self.port}/token"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.leave.set()
        self._http.shutdown()
        self._http.server_close()

    def calls(self) -> list[str]:
        """The MCP methods asked for, DELETE among them, in order."""
        return [one.call or one.method for one in self.seen if one.path == "/mcp"]

    def grants(self) -> list[Seen]:
        return [one for one in self.seen if one.path == "/token"]


class _Handler(BaseHTTPRequestHandler):
    server_object: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: Any) -> None:
        """Quiet."""

    def _take(self) -> Seen:
        size = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, headers, self.rfile.read(size))
        self.server_object.seen.append(seen)
        return seen

    def do_DELETE(self) -> None:
        self._take()
        self._answer(200, "text/plain", b"")

    def do_POST(self) -> None:
        seen, script = self._take(), self.server_object.script
        if script.silent:
            self.server_object.leave.wait(60)
            self.close_connection = True
        elif seen.path == "/token":
            status, body = script.grant
            self._answer(status, "application/json", body if isinstance(body, bytes) else json.dumps(body).encode())
        elif seen.call in script.special:
            self._answer(*script.special[seen.call])
        elif seen.headers.get("authorization", "").removeprefix("Bearer ") not in script.tokens:
            said = {"error": "invalid_token", "you_sent": seen.headers.get("authorization")}
            self._answer(401, "application/json", json.dumps(said).encode())
        else:
            self._mcp(seen, script)

    def _mcp(self, seen: Seen, script: Script) -> None:
        asked = json.loads(seen.body)
        if "id" not in asked:
            self._answer(202, "text/plain", b"")
            return
        about = {"name": "s", "version": "1"}
        opened = {"protocolVersion": "2025-06-18", "capabilities": script.capabilities, "serverInfo": about}
        result = {"initialize": opened, "tools/call": DONE}.get(asked["method"], TOOLS)
        message = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode()
        if script.stream:
            self._open_stream(message)
        else:
            self._answer(200, "application/json", message)

    def _open_stream(self, message: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("mcp-session-id", self.server_object.script.session)
        self.send_header("connection", "close")
        self.end_headers()
        note = b'{"jsonrpc": "2.0", "method": "notifications/message", "params": {}}'
        self.wfile.write(
            b": hello\n\nevent: message\ndata: " + note + b"\n\nevent: message\ndata: " + message + b"\n\n"
        )
        self.wfile.flush()
        self.server_object.leave.wait(60)
        self.close_connection = True

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        script = self.server_object.script
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        if script.session:
            self.send_header("mcp-session-id", script.session)
        if script.location:
            self.send_header("location", script.location)
        self.end_headers()
        self.wfile.write(body)


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def running() -> Iterator[Server]:
    """For a fixture."""
    server = Server()
    yield server
    server.stop()
