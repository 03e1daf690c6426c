"""A small web site and search engine on loopback, scripted by each test."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = b"""\
<html><head><title>About ducks</title></head><body><nav><a href="/x">Menu entry</a></nav>
<article>
<h1>About ducks</h1><p>Ducks are birds that swim. They have been kept by people for very long, in many places.</p>
<p>See <a href="/more">more about ducks</a> for their food and their habits, which differ between kinds.</p>
<table><tr><th>Kind</th><th>Colour</th></tr><tr><td>Mallard</td><td>Green</td></tr></table>
</article><script>ignored()</script></body></html>"""


@dataclass
class Site:
    """``answers``: (status, headers, body) by path. ``seen``: path and headers of every request."""

    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0
    leave: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def put(
        self, path: str, body: bytes, kind: str = "text/html; charset=utf-8", status: int = 200, **more: str
    ) -> str:
        self.answers[path] = (status, {"content-type": kind, **{k.replace("_", "-"): v for k, v in more.items()}}, body)
        return self.url(path)

    def put_json(self, path: str, body: Any) -> str:
        return self.put(path, json.dumps(body).encode(), "application/json")


def running() -> Iterator[Site]:
    """For a fixture."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: Any) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            path = self.path.partition("?")[0]
            site.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            if path == "/silent":
                site.leave.wait(60)
                self.close_connection = True
                return
            status, headers, answer = site.answers.get(path, (404, {"content-type": "text/plain"}, b"nothing here"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815  the library's name

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield site
    site.leave.set()
    server.shutdown()
    server.server_close()
