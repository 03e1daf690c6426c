"""A Messages API server of raw sockets, so that our client is not tested only against our own server.

Every request takes the next script: pieces of bytes to send, and between them what to do to the connection.
"""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Act = bytes | Literal["reset", "stall"]
Script = tuple[Act, ...]

PATIENCE = 60.0


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    line: str
    headers: dict[str, str]
    body: dict[str, Any] = field(default_factory=dict)


def accepted(listener: socket.socket) -> Iterator[socket.socket]:
    """Each connection that is made to it, until it is closed."""
    with contextlib.suppress(OSError):
        while True:
            yield listener.accept()[0]


class Peer:
    """Serves ``scripts`` in order, then closes on everybody. Use it as a context manager."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts: queue.SimpleQueue[Script] = queue.SimpleQueue()
        for script in scripts:
            self._scripts.put(script)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self.stalled = threading.Event()
        self.seen: list[Seen] = []
        self.connections = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Peer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listener.close()

    def _accept(self) -> None:
        for connection in accepted(self._listener):
            self.connections += 1
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        # A client that hangs up early is part of the game.
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            connection.settimeout(PATIENCE)
            while (seen := _read(stream)) is not None:
                self.seen.append(seen)
                if self._scripts.empty():
                    return
                for act in self._scripts.get():
                    if act == "reset":
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return
                    if act == "stall":
                        self.stalled.set()
                        self._over.wait(PATIENCE)
                        return
                    connection.sendall(act)


def answer(status: int, body: object, **headers: str) -> Script:
    """A whole JSON answer. Underscores in header names become dashes."""
    text = json.dumps(body).encode()
    return (_head(status, "application/json", headers, f"content-length: {len(text)}") + text,)


def error(status: int, kind: str, message: str, **headers: str) -> Script:
    """An error in the provider's envelope."""
    return answer(status, {"type": "error", "error": {"type": kind, "message": message}}, **headers)


def stream(*parts: dict[str, Any] | bytes | Literal["reset", "stall", "end"], **headers: str) -> Script:
    """A stream of events, chunked. ``"end"`` finishes it in order; without it the connection just stays."""
    acts: list[Act] = [
        _head(200, "text/event-stream", {"request_id": "req_peer", **headers}, "transfer-encoding: chunked")
    ]
    for part in parts:
        if part == "end":
            acts.append(b"0\r\n\r\n")
        elif part == "reset" or part == "stall":
            acts.append(part)
        else:
            data = part if isinstance(part, bytes) else sse(part)
            acts.append(b"%x\r\n%s\r\n" % (len(data), data))
    return tuple(acts)


def sse(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def started(**usage: Any) -> dict[str, Any]:
    counted = {"input_tokens": 10, "output_tokens": 1, **usage}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "served-model", "content": []}
    return {"type": "message_start", "message": {**message, "stop_reason": None, "usage": counted}}


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of one content block."""
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text_block(index: int, *pieces: str) -> list[dict[str, Any]]:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces))


def finished(stop_reason: str | None = "end_turn", **usage: Any) -> list[dict[str, Any]]:
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": delta, "usage": {"output_tokens": 5, **usage}}, {"type": "message_stop"}]


def _read(stream: Any) -> Seen | None:
    line = stream.readline().decode().strip()
    if not line:
        return None
    headers: dict[str, str] = {}
    while header := stream.readline().decode().strip():
        name, _, value = header.partition(":")
        headers[name.strip().lower()] = value.strip()
    raw = stream.read(int(headers.get("content-length", "0")))
    return Seen(line, headers, json.loads(raw) if raw else {})


def _head(status: int, kind: str, headers: dict[str, str], length: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Because", f"content-type: {kind}", length]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


HELLO = stream(started(), *text_block(0, "hel", "lo"), *finished(), "end")
