"""The sandbox host's socket: any ``SandboxBackend`` for the workers of this machine.

A thread per connection, one request at a time on each. A client that goes away in the middle of
a call changes nothing: the call runs on, and its result waits in the journal.
"""

from __future__ import annotations

import io
import logging
import os
import socket
import stat
import struct
import threading
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from agents.sandboxes.base import (
    Limits,
    SandboxBackend,
    SandboxError,
    SandboxSpec,
    SandboxUnavailable,
    SharedFolder,
    Upload,
)
from agents.sandboxes.results import result_to
from agents.sandboxes.wire import (
    FAULT,
    PIECE,
    Broken,
    Closed,
    Connection,
    PieceReader,
    fault_to,
    inventory_to,
    opened_to,
    report_to,
    state_to,
    update_from,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

log = logging.getLogger("holdfast.sandboxes")

CONNECTIONS = 1024
PATH_BYTES = 107
SEND_SECONDS = 60.0
RETRY_SECONDS = 0.1  # after a moment without a free descriptor


def listen(path: Path) -> socket.socket:
    """Bind the socket, 0600. A stale one is replaced, one that answers is another host's."""
    if len(os.fsencode(path)) > PATH_BYTES:
        raise SandboxUnavailable(f"The socket path {path} is longer than {PATH_BYTES} bytes; choose a shorter one.")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SandboxUnavailable(f"{path} exists and is no socket; choose another --socket.")
        _refuse_if_served(path)
        path.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(previous)
    sock.listen(128)
    return sock


def _refuse_if_served(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except OSError as error:
            raise SandboxUnavailable(f"{path} cannot be used: {error}") from None
    raise SandboxUnavailable(f"Another sandbox host answers at {path}; stop it first.")


class Server:
    """Serves a backend until it is stopped."""

    def __init__(self, backend: SandboxBackend, listener: socket.socket) -> None:
        self._backend = backend
        self._listener = listener
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        self._stopped = threading.Event()
        self._operations: dict[str, Callable[[Connection, dict[str, Any]], None]] = {
            "ping": self._ping,
            "probe": self._probe,
            "open": self._open,
            "call": self._call,
            "interrupt": self._interrupt,
            "snapshot": self._snapshot,
            "read_output": self._read_output,
            "exchange": self._exchange,
            "make_packages": self._make_packages,
            "inventory": self._inventory,
            "close": self._close,
            "sweep": self._sweep,
        }

    def serve(self) -> None:
        """Accept until ``stop``."""
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError as error:
                if self._stopped.wait(RETRY_SECONDS):
                    return
                log.warning("no connection could be taken: %s", error)
                continue
            if not _is_ours(sock) or not self._slots.acquire(blocking=False):
                sock.close()
                continue
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(SEND_SECONDS), 0))
            threading.Thread(target=self._talk, args=(Connection(sock),), daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        # A close alone does not wake a thread that is blocked in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _talk(self, connection: Connection) -> None:
        try:
            while self._answer(connection, connection.receive_json()):
                continue
        except (Closed, Broken, SandboxError):
            return
        finally:
            connection.close()
            self._slots.release()

    def _answer(self, connection: Connection, request: dict[str, Any]) -> bool:
        """Whether the connection may be used again."""
        operation = self._operations.get(request.get("op", ""))
        try:
            if operation is None:
                raise SandboxError("unknown operation")
            operation(connection, request)
        except SandboxError as error:
            connection.send(FAULT, fault_to(error))
            return False
        except (Closed, Broken):
            raise
        except Exception as error:
            log.exception("%s failed", request.get("op"))
            connection.send(FAULT, fault_to(_unforeseen(error)))
            return False
        return True

    def _ping(self, connection: Connection, request: dict[str, Any]) -> None:
        connection.send_json({"ok": None})

    def _probe(self, connection: Connection, request: dict[str, Any]) -> None:
        connection.send_json({"ok": report_to(self._backend.probe())})

    def _open(self, connection: Connection, request: dict[str, Any]) -> None:
        spec = _spec(connection, request["spec"])
        snapshot = _asked(connection, {"want": "snapshot"}) if request["snapshot"] else None
        opened = self._backend.open(spec, snapshot)
        connection.send_json({"ok": opened_to(opened)})

    def _call(self, connection: Connection, request: dict[str, Any]) -> None:
        gone: Closed | None = None

        def on_output(text: str) -> None:
            nonlocal gone
            if gone is None:
                try:
                    connection.send_json({"out": text})
                except Closed as error:
                    gone = error

        result = self._backend.call(
            request["sandbox_id"],
            request["call_id"],
            request["name"],
            cast("Mapping[str, Any]", request["input"]),
            reattempt=request["reattempt"],
            lane=request["lane"],
            on_output=on_output if request["live"] else None,
        )
        if gone is not None:
            raise gone
        connection.send_json({"ok": result_to(result)})

    def _interrupt(self, connection: Connection, request: dict[str, Any]) -> None:
        self._backend.interrupt(request["sandbox_id"], request["call_id"])
        connection.send_json({"ok": None})

    def _snapshot(self, connection: Connection, request: dict[str, Any]) -> None:
        _stream(connection, self._backend.snapshot(request["sandbox_id"]))

    def _read_output(self, connection: Connection, request: dict[str, Any]) -> None:
        _stream(connection, self._backend.read_output(request["sandbox_id"], request["path"]))

    def _exchange(self, connection: Connection, request: dict[str, Any]) -> None:
        updates = [update_from(one) for one in request["updates"]]
        state = self._backend.exchange(request["sandbox_id"], request["folder"], updates)
        connection.send_json({"ok": state_to(state)})

    def _make_packages(self, connection: Connection, request: dict[str, Any]) -> None:
        spec, command = _spec(connection, request["spec"]), request["command"]
        result = self._backend.make_packages(spec, command, anew=request["anew"])
        connection.send_json({"ok": result_to(result) if result else None})

    def _inventory(self, connection: Connection, request: dict[str, Any]) -> None:
        connection.send_json({"ok": inventory_to(self._backend.inventory(request["sets"]))})

    def _close(self, connection: Connection, request: dict[str, Any]) -> None:
        self._backend.close(request["sandbox_id"], discard=request["discard"])
        connection.send_json({"ok": None})

    def _sweep(self, connection: Connection, request: dict[str, Any]) -> None:
        connection.send_json({"ok": self._backend.sweep(request["alive"])})


def _unforeseen(error: Exception) -> SandboxError:
    """What the machine refuses (a full disk, no descriptors) may be over in a while; the rest is a fault of ours."""
    if isinstance(error, OSError):
        return SandboxUnavailable(f"The sandbox host failed: {error.strerror or type(error).__name__}.")
    return SandboxError(f"The sandbox host failed: {type(error).__name__}.")


def _stream(connection: Connection, pieces: Iterator[bytes]) -> None:
    """Begin only when the first piece is there, so that early failures are plain faults."""
    first = next(pieces, b"")
    connection.send_json({"ok": "stream"})

    def whole() -> Iterator[bytes]:
        yield first
        yield from pieces

    connection.send_pieces(whole())


def _spec(connection: Connection, record: dict[str, Any]) -> SandboxSpec:
    def upload(index: int, path: str, size: int, *, executable: bool) -> Upload:
        return Upload(path, size, lambda: _asked(connection, {"want": "upload", "index": index}), executable=executable)

    uploads = [
        upload(index, entry["path"], entry["size"], executable=entry["executable"])
        for index, entry in enumerate(record["uploads"])
    ]
    return SandboxSpec(
        sandbox_id=record["sandbox_id"],
        limits=Limits(**record["limits"]),
        network=record["network"],
        trust=record["trust"],
        uploads=tuple(uploads),
        environment=record["environment"],
        folders=tuple(SharedFolder(**one) for one in record["folders"]),
        first=record["first"],
        packages=tuple(record["packages"]),
    )


def _asked(connection: Connection, want: dict[str, Any]) -> BinaryIO:
    """A stream the client sends when, and only if, its first byte is read."""

    def pieces() -> Iterator[bytes]:
        connection.send_json(want)
        yield from connection.receive_pieces()

    return cast("BinaryIO", io.BufferedReader(PieceReader(pieces()), 4 * PIECE))


def _is_ours(sock: socket.socket) -> bool:
    """Only our own user and root may ask; the socket's mode says the same."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)[1] in (0, os.geteuid())
