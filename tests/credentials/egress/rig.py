"""A proxy inside the test's process, servers for it to reach on loopback, and ways to speak to it."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import socket
import ssl
import tempfile
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.sandboxes.egress import Gate
from contract.secret import Secret
from credentials import addresses
from credentials.egress import client
from credentials.egress.client import Grant
from credentials.egress.control import Control, bound
from credentials.egress.packages import Packages
from credentials.egress.proxy import Caps, Proxy
from credentials.egress.reach import Dialler
from credentials.egress.rules import Networking
from credentials.egress.sessions import Sessions
from credentials.egress.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KEY = b"k" * 32
OTHERS = Authority(b"o" * 32, "the world's own authority")
UNRESTRICTED = Networking("unrestricted")
API = "api.example.test"
WAIT_SECONDS = 20.0


class Rig:
    """A running proxy. ``names`` is its resolver: a name's answers, one list for each time it is asked."""

    def __init__(
        self,
        *,
        allow: Sequence[str] = ("127.0.0.0/8",),
        packages: Packages | None = None,
        server_seconds: float = 2.0,
        **caps: Any,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="hfe-", dir="/tmp"))
        self.directory.chmod(0o755)
        self.socket = self.directory / "egress.sock"
        self.names: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []
        self.sessions = Sessions(KEY, lambda session_id, by: None)
        trust = ssl.create_default_context(cadata=OTHERS.certificate)
        networks = addresses.networks(allow)
        waits = {"connect_seconds": 2.0, "idle_seconds": server_seconds}
        self._dialler = Dialler(resolve=self._resolve, allowed=networks, trust=trust, **waits)
        self._packages = packages or Packages(environment={})
        self.proxy = Proxy(
            self._dialler,
            package_hosts=lambda: self._packages.hosts,
            caps=Caps(**{"request_seconds": 2.0, "idle_seconds": 4.0, "patience_seconds": 0.2, **caps}),
        )
        self._loop = asyncio.new_event_loop()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        until(self._answers)
        self.gate = Gate(self.socket)

    def _answers(self) -> bool:
        """The file is there a moment before anybody listens."""
        with socket.socket(socket.AF_UNIX) as knock:
            return knock.connect_ex(str(self.socket)) == 0

    def stop(self) -> None:
        self.gate.close()
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        shutil.rmtree(self.directory, ignore_errors=True)

    def session(self, networking: Networking = UNRESTRICTED, *grants: Grant) -> Inside:
        """A registered session and its listener, as a sandbox would have it."""
        name = f"sesn_{uuid.uuid4().hex}"
        told = client.register(self.socket, name, networking, grants)
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        self.gate.attach(name, listener)
        return Inside(self, name, port, told)

    async def _resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self.names.get(host)
        if answers is None:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
            return [str(entry[4][0]) for entry in found]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        with bound(str(self.socket)) as listener:
            task = asyncio.create_task(Control(self.sessions, self.proxy, self._packages).serve(listener))
            await self._stop.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class Inside:
    """A session as its sandbox sees it."""

    def __init__(self, rig: Rig, name: str, port: int, told: client.Registered) -> None:
        self.rig, self.name, self.port, self.told = rig, name, port, told

    def dial(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_SECONDS)

    def raw(self, request: bytes) -> bytes:
        """Everything that comes back for some bytes."""
        with self.dial() as sock:
            sock.sendall(request)
            return drain(sock)

    def connect(self, host: str, port: int) -> tuple[int, bytes]:
        """Status and body of a CONNECT that is refused."""
        answer = self.raw(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def plain(self, url: str, **headers: str) -> http.client.HTTPResponse:
        """GET over plain HTTP."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)
        connection.request("GET", url, headers=headers)
        return connection.getresponse()

    def tls(self, host: str, port: int, *, trust: str | None = None, name: str | None = None) -> Tls:
        """A connection through CONNECT. By default what a sandbox trusts is trusted: ours and the world's."""
        context = ssl.create_default_context(cadata=trust or self.told.trust + OTHERS.certificate)
        connection = Tls(self.port, context, name or host)
        connection.set_tunnel(host, port)
        return connection

    def records(self, count: int = 1) -> list[dict[str, Any]]:
        """The records, once there are as many and all of them are complete."""
        found: list[dict[str, Any]] = []

        def enough() -> bool:
            if self.rig.sessions.get(self.name).connections:  # asked first: the last one completes its record
                return False
            found[:] = [dict(record) for record in client.report(self.rig.socket, self.name, "test").records]
            return len(found) >= count

        until(enough)
        return found


class Tls(http.client.HTTPSConnection):
    """Speaks to a proxy; ``name`` is the one said inside TLS."""

    def __init__(self, port: int, context: ssl.SSLContext, name: str) -> None:
        super().__init__("127.0.0.1", port, context=context, timeout=WAIT_SECONDS)
        self._spoken, self._trusted = name, context

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        assert self.sock is not None
        self.sock = self._trusted.wrap_socket(self.sock, server_hostname=self._spoken)


class Server:
    """An HTTP server on loopback. ``seen`` are the requests it got; ``answer`` makes its answers."""

    def __init__(
        self, host: str | None = API, answer: Callable[[Request], None] | None = None, *, address: str = "127.0.0.1"
    ) -> None:
        self.seen: list[Request] = []
        self.respond = answer or echo
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                super().handle_one_request()

            def do_GET(self) -> None:
                request = Request(self, self._body())
                outer.seen.append(request)
                outer.respond(request)

            do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815  the names that http.server looks for

            def _body(self) -> bytes:
                if self.headers.get("transfer-encoding") == "chunked":
                    body = b""
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                    return body
                return self.rfile.read(int(self.headers.get("content-length") or 0))

            def log_message(self, *given: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        if host is not None:
            context = OTHERS.context(host)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Request:
    """One request as a server got it."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.handler, self.body = handler, body
        self.method, self.path = handler.command, handler.path
        self.headers = {name.lower(): value for name, value in handler.headers.items()}

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()
        self.handler.wfile.write(body)

    def send_chunks(self, pieces: Sequence[bytes], **headers: str) -> None:
        self.handler.send_response(200)
        for name, value in {"Transfer-Encoding": "chunked", **headers}.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()
        for piece in pieces:
            self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.handler.wfile.flush()
        self.handler.wfile.write(b"0\r\n\r\n")


def echo(request: Request) -> None:
    """Say back what was received, as a debugging server does."""
    said = {"headers": request.headers, "body": request.body.decode("latin-1"), "path": request.path}
    request.send(json.dumps(said).encode(), X_Echo=request.headers.get("authorization", ""))


def grant(secret: str, *hosts: str, header: bool = True, body: bool = True, name: str = "API_TOKEN") -> Grant:
    return Grant(f"vcrd_{uuid.uuid4().hex}", name, Secret(secret), hosts or None, header, body)


def drain(sock: socket.socket) -> bytes:
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)
