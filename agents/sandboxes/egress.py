"""The way out of sandboxes: hands their listening sockets to the machine's egress proxy, and says so when it is gone.

Inside, programs find a proxy at ``PROXY_URL`` and a bundle of certificates to trust. The proxy itself is another
process, reached by its unix socket: this side holds no rule and no secret.
"""

from __future__ import annotations

import contextlib
import json
import logging
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING

from agents.sandboxes.runner.door import PORT

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("holdfast.sandboxes")

PROXY_URL = f"http://127.0.0.1:{PORT}"
BUNDLE = "/etc/holdfast/ca.pem"
_NEAR = "localhost,127.0.0.1,::1"
# Every program has its own name for the same two things.
ENVIRONMENT = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), PROXY_URL),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), _NEAR),
    **dict.fromkeys(
        (
            "SSL_CERT_FILE",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
            "GIT_SSL_CAINFO",
            "PIP_CERT",
            "NODE_EXTRA_CA_CERTS",
            "CARGO_HTTP_CAINFO",
            "AWS_CA_BUNDLE",
        ),
        BUNDLE,
    ),
    "NODE_USE_ENV_PROXY": "1",
}
ANSWER_SECONDS = 5.0
RETRY_SECONDS = 0.1
GRACE_SECONDS = 3.0
_GONE = {
    "type": "egress_failed",
    "message": "The egress proxy of this machine is not running. Try again later.",
    "host": "",
    "rule": "the egress proxy is down",
}


class Gate:
    """Keeps every sandbox's listener with the proxy, over the proxy's restarts. Thread-safe.

    For ``GRACE_SECONDS`` connections wait for a proxy that is being started again; after that they are answered
    with 503 here.
    """

    def __init__(self, path: Path, *, grace_seconds: float = GRACE_SECONDS) -> None:
        self._path, self._grace = str(path), grace_seconds
        self._lock = threading.Lock()
        self._listeners: dict[str, socket.socket] = {}
        self._attached: dict[str, socket.socket] = {}
        self._connection: socket.socket | None = None
        self._wake_in, self._wake_out = socket.socketpair()
        self._closed = False
        self._down_since = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="egress-gate", daemon=True)
        self._thread.start()

    def attach(self, sandbox_id: str, listener: socket.socket) -> None:
        """Take over a sandbox's listening socket; it replaces an earlier one."""
        with self._lock:
            old = self._listeners.pop(sandbox_id, None)
            self._listeners[sandbox_id] = listener
        _close(old)
        self._wake()

    def detach(self, sandbox_id: str) -> None:
        with self._lock:
            _close(self._listeners.pop(sandbox_id, None))
        self._wake()

    def close(self) -> None:
        """Let go of everything."""
        self._closed = True
        self._wake()
        self._thread.join(2 * ANSWER_SECONDS)
        with self._lock:
            for listener in self._listeners.values():
                _close(listener)
            self._listeners.clear()
        for end in (self._wake_in, self._wake_out):
            end.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_out.send(b"x")

    def _run(self) -> None:
        while not self._closed:
            try:
                if self._connection is None:
                    self._connect()
                self._hand_in()
                self._watch()
            except (OSError, ValueError):
                self._disconnected()
                self._say_gone(RETRY_SECONDS)
        _close(self._connection)

    def _connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(ANSWER_SECONDS)
        try:
            sock.connect(self._path)
        except OSError:
            sock.close()
            raise
        self._connection, self._attached = sock, {}

    def _disconnected(self) -> None:
        if self._connection is not None:
            log.warning("the egress proxy at %s went away", self._path)
            self._down_since = time.monotonic()
        _close(self._connection)
        self._connection, self._attached = None, {}

    def _hand_in(self) -> None:
        """Make the proxy's listeners the same as ours."""
        with self._lock:
            wanted = dict(self._listeners)
        for sandbox_id in [name for name, sock in self._attached.items() if wanted.get(name) is not sock]:
            self._ask({"op": "detach", "session": sandbox_id})
            del self._attached[sandbox_id]
        for sandbox_id, listener in wanted.items():
            if sandbox_id not in self._attached and listener.fileno() >= 0:
                self._ask({"op": "attach", "session": sandbox_id}, listener)
                self._attached[sandbox_id] = listener

    def _ask(self, question: dict[str, str], listener: socket.socket | None = None) -> None:
        assert self._connection is not None
        line = json.dumps(question).encode() + b"\n"
        if listener is None:
            self._connection.sendall(line)
        else:
            socket.send_fds(self._connection, [line], [listener.fileno()])
        answer = b""
        while not answer.endswith(b"\n"):
            piece = self._connection.recv(4096)
            if not piece:
                raise ConnectionResetError
            answer += piece
        if "ok" not in json.loads(answer):
            log.error("the egress proxy refused the sandbox %s", question["session"])

    def _watch(self) -> None:
        """Until there is something to tell, or the proxy goes away."""
        assert self._connection is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_in, selectors.EVENT_READ)
            selector.register(self._connection, selectors.EVENT_READ)
            ready = {key.fileobj for key, _ in selector.select()}
        if self._wake_in in ready:
            self._wake_in.recv(4096)
        if self._connection in ready:
            raise ConnectionResetError

    def _say_gone(self, seconds: float) -> None:
        """Wait, and meanwhile answer the sandboxes if the proxy has been gone for too long."""
        late = time.monotonic() - self._down_since > self._grace
        with self._lock:
            listeners = list(self._listeners.values()) if late else []
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_in, selectors.EVENT_READ)
            for listener in listeners:
                with contextlib.suppress(ValueError, OSError):
                    selector.register(listener, selectors.EVENT_READ)
            for key, _ in selector.select(seconds):
                if key.fileobj is self._wake_in:
                    self._wake_in.recv(4096)
                elif isinstance(key.fileobj, socket.socket):
                    _answer_gone(key.fileobj)


def receive_listener(sock: socket.socket, seconds: float) -> socket.socket:
    """The listening socket that the runner sends; raises ``ValueError`` if it is anything else."""
    sock.settimeout(seconds)
    _, descriptors, _, _ = socket.recv_fds(sock, 16, 1)
    if not descriptors:
        raise ValueError("nothing was sent")
    listener = socket.socket(fileno=descriptors[0])
    if listener.family != socket.AF_INET or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listener.close()
        raise ValueError("not a listening socket")
    return listener


def _answer_gone(listener: socket.socket) -> None:
    body = json.dumps({"error": _GONE}).encode() + b"\n"
    head = f"HTTP/1.1 503 egress failed\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    with contextlib.suppress(OSError):
        listener.setblocking(False)
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(0.5)
            sock.recv(65536)
            sock.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)


def _close(sock: socket.socket | None) -> None:
    if sock is not None:
        sock.close()
