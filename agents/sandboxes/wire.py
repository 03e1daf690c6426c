"""Frames between workers and the sandbox host: one byte of kind, four of length, the payload.

A request is one JSON frame; what follows depends on the operation (see ``server`` and
``client``). Sizes are bounded on both sides before anything is allocated.
"""

from __future__ import annotations

import base64
import io
import json
import struct
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from agents.sandboxes.base import (
    FolderChange,
    FolderState,
    FolderUpdate,
    Inventory,
    Opened,
    OpenSandbox,
    PackageSet,
    Report,
    SandboxError,
    SandboxLost,
    SandboxSpec,
    SandboxUnavailable,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator

JSON, BYTES, END, FAULT = b"J", b"B", b"E", b"X"
FRAME_BYTES = 64 * 1024 * 1024
PIECE = 256 * 1024
_HEAD = struct.Struct("!cI")
_KINDS: dict[str, type[SandboxError]] = {
    "lost": SandboxLost,
    "unavailable": SandboxUnavailable,
    "error": SandboxError,
}


class Closed(Exception):
    """The other side went away."""


class Broken(Exception):
    """The other side sent something that is no frame, or one that is too large."""


class Connection:
    """One socket, spoken by one thread at a time. ``TimeoutError`` means no answer in time, every other fault of the
    socket is ``Closed``.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = bytearray()

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        if len(payload) > FRAME_BYTES:
            raise Broken(f"a frame of {len(payload)} bytes")
        try:
            self.sock.sendall(_HEAD.pack(kind, len(payload)) + payload)
        except TimeoutError:
            raise
        except OSError as error:
            raise Closed(str(error)) from None

    def send_json(self, value: Any) -> None:
        self.send(JSON, json.dumps(value, separators=(",", ":")).encode())

    def send_pieces(self, pieces: Iterable[bytes]) -> None:
        """Stream bytes; the end is a frame of its own."""
        for piece in pieces:
            for start in range(0, len(piece), PIECE):
                self.send(BYTES, piece[start : start + PIECE])
        self.send(END)

    def receive(self) -> tuple[bytes, bytes]:
        kind, length = _HEAD.unpack(self._take(_HEAD.size))
        if length > FRAME_BYTES or kind not in (JSON, BYTES, END, FAULT):
            raise Broken("not a frame of this protocol")
        return kind, self._take(length)

    def receive_json(self) -> dict[str, Any]:
        kind, payload = self.receive()
        if kind == FAULT:
            raise fault_from(payload)
        try:
            value = json.loads(payload) if kind == JSON else None
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise Broken("not a JSON object")
        return value

    def receive_pieces(self) -> Iterator[bytes]:
        """The reverse of ``send_pieces``; a fault frame raises."""
        while True:
            kind, payload = self.receive()
            if kind == BYTES:
                yield payload
            elif kind == END:
                return
            elif kind == FAULT:
                raise fault_from(payload)
            else:
                raise Broken("a stream was expected")

    def parting_fault(self) -> SandboxError | None:
        """The fault the other side sent before it closed, while we were still sending."""
        try:
            self.sock.settimeout(1.0)
            while True:
                kind, payload = self.receive()
                if kind == FAULT:
                    return fault_from(payload)
        except (Closed, Broken, OSError):
            return None

    def close(self) -> None:
        self.sock.close()

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            try:
                data = self.sock.recv(max(65536, min(size - len(self._buffer), 1 << 20)))
            except TimeoutError:
                raise
            except OSError as error:
                raise Closed(str(error)) from None
            if not data:
                raise Closed("the connection was closed")
            self._buffer += data
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


class PieceReader(io.RawIOBase):
    """A readable file over an iterator of byte pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        if not self._held:
            self._held = next(self._pieces, b"")
        count = min(len(target), len(self._held))
        target[:count] = self._held[:count]
        self._held = self._held[count:]
        return count


def fault_to(error: SandboxError) -> bytes:
    kind = next(name for name, cls in _KINDS.items() if isinstance(error, cls))
    return json.dumps({"kind": kind, "text": str(error)}).encode()


def fault_from(payload: bytes) -> SandboxError:
    record = json.loads(payload)
    return _KINDS[record["kind"]](record["text"])


def spec_to(spec: SandboxSpec) -> dict[str, Any]:
    """A spec without the uploads' contents."""
    return {
        "sandbox_id": spec.sandbox_id,
        "limits": asdict(spec.limits),
        "network": spec.network,
        "trust": spec.trust,
        "uploads": [
            {"path": upload.path, "size": upload.size, "executable": upload.executable} for upload in spec.uploads
        ],
        "environment": dict(spec.environment),
        "folders": [asdict(folder) for folder in spec.folders],
        "first": spec.first,
        "packages": list(spec.packages),
    }


def update_to(update: FolderUpdate) -> dict[str, Any]:
    return {"path": update.path, "kind": update.kind, "seen": update.seen, "content": _to_text(update.content)}


def update_from(record: dict[str, Any]) -> FolderUpdate:
    return FolderUpdate(record["path"], record["kind"], record["seen"], _from_text(record["content"]))


def state_to(state: FolderState) -> dict[str, Any]:
    changes = [
        {"path": one.path, "known": one.known, "now": one.now, "content": _to_text(one.content), "size": one.size}
        for one in state.changes
    ]
    return {"known": dict(state.known), "changes": changes, "more": state.more}


def state_from(record: dict[str, Any]) -> FolderState:
    changes = [
        FolderChange(one["path"], one["known"], one["now"], _from_text(one["content"]), one["size"])
        for one in record["changes"]
    ]
    return FolderState(record["known"], tuple(changes), record["more"])


def _to_text(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode("ascii")


def _from_text(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def opened_to(opened: Opened) -> dict[str, Any]:
    return asdict(opened)


def opened_from(record: dict[str, Any]) -> Opened:
    return Opened(record["sandbox_id"], record["origin"], tuple(record["layers"]))


def inventory_to(inventory: Inventory) -> dict[str, Any]:
    return asdict(inventory)


def inventory_from(record: dict[str, Any]) -> Inventory:
    sets = tuple(PackageSet(**one) for one in record["sets"])
    return Inventory(sets, tuple(OpenSandbox(**one) for one in record["open"]))


def report_to(report: Report) -> dict[str, Any]:
    return asdict(report)


def report_from(record: dict[str, Any]) -> Report:
    return Report(
        backend=record["backend"],
        usable=record["usable"],
        strength=record["strength"],
        layers=tuple(record["layers"]),
        reasons=tuple(record["reasons"]),
    )
