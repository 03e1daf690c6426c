"""A program that receives webhooks, scripted by the test."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Seen:
    """One delivery as it arrived; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: str


@dataclass
class Receiver:
    """Answers with the scripted statuses one after the other, the last one for ever."""

    statuses: list[int] = field(default_factory=lambda: [204])
    seen: list[Seen] = field(default_factory=list)
    silent: bool = False  # takes the request and never answers

    def __post_init__(self) -> None:
        self._leave = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                outer.seen.append(Seen(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                if outer.silent:
                    outer._leave.wait(30)
                    return
                status = outer.statuses.pop(0) if len(outer.statuses) > 1 else outer.statuses[0]
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing to print."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._leave.set()
        self._server.shutdown()
        self._server.server_close()
