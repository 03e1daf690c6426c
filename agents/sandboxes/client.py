"""The workers' side of the sandbox host: ``SandboxBackend`` over its unix socket."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING, Any, BinaryIO

from agents.sandboxes.base import (
    CallResult,
    FolderState,
    FolderUpdate,
    Inventory,
    OnOutput,
    Opened,
    Report,
    SandboxError,
    SandboxSpec,
    SandboxUnavailable,
)
from agents.sandboxes.results import result_from
from agents.sandboxes.wire import (
    PIECE,
    Broken,
    Closed,
    Connection,
    inventory_from,
    opened_from,
    report_from,
    spec_to,
    state_from,
    update_to,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 120.0
TRANSFER_SECONDS = 900.0
# The host ends every call by its own clock; this only bounds the wait for a host that is stuck.
CALL_SECONDS = 2 * 3600.0
IDLE_CONNECTIONS = 16


class HostClient:
    """Thread-safe. A connection carries one request at a time and is used again afterwards.

    Raises ``SandboxUnavailable`` where the host does not answer and ``SandboxLost`` where it does
    not know the sandbox. ``answer_seconds`` bounds everything but calls and transfers.
    """

    def __init__(self, socket_path: str | Path, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._path = str(socket_path)
        self._answer_seconds = answer_seconds
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._pid = os.getpid()

    def ping(self) -> None:
        """Return once the host answers, which one that is frozen doesn't."""
        self._ask({"op": "ping"})

    def probe(self) -> Report:
        return report_from(self._ask({"op": "probe"}))

    def open(self, spec: SandboxSpec, snapshot: BinaryIO | None = None) -> Opened:
        request = {"op": "open", "spec": spec_to(spec), "snapshot": snapshot is not None}
        with _Use(self, TRANSFER_SECONDS) as connection:
            connection.send_json(request)
            while "want" in (answer := connection.receive_json()):
                if answer["want"] == "snapshot":
                    assert snapshot is not None
                    connection.send_pieces(_pieces(snapshot))
                else:
                    with spec.uploads[answer["index"]].open() as source:
                        connection.send_pieces(_pieces(source))
            return opened_from(answer["ok"])

    def call(
        self,
        sandbox_id: str,
        call_id: str,
        name: str,
        tool_input: Mapping[str, Any],
        *,
        reattempt: bool = False,
        lane: str = "",
        on_output: OnOutput | None = None,
    ) -> CallResult:
        what = {"sandbox_id": sandbox_id, "call_id": call_id, "name": name, "input": tool_input, "lane": lane}
        request = {"op": "call", **what, "reattempt": reattempt, "live": on_output is not None}
        with _Use(self, CALL_SECONDS) as connection:
            connection.send_json(request)
            while "out" in (answer := connection.receive_json()):
                if on_output is not None:
                    on_output(answer["out"])
            return result_from(answer["ok"])

    def interrupt(self, sandbox_id: str, call_id: str | None = None) -> None:
        self._ask({"op": "interrupt", "sandbox_id": sandbox_id, "call_id": call_id})

    def snapshot(self, sandbox_id: str) -> Iterator[bytes]:
        return self._stream({"op": "snapshot", "sandbox_id": sandbox_id})

    def read_output(self, sandbox_id: str, path: str) -> Iterator[bytes]:
        return self._stream({"op": "read_output", "sandbox_id": sandbox_id, "path": path})

    def exchange(self, sandbox_id: str, folder: str, updates: Sequence[FolderUpdate]) -> FolderState:
        request = {"op": "exchange", "sandbox_id": sandbox_id, "folder": folder}
        return state_from(self._ask({**request, "updates": [update_to(one) for one in updates]}))

    def inventory(self, sets: Sequence[str]) -> Inventory:
        return inventory_from(self._ask({"op": "inventory", "sets": list(sets)}))

    def make_packages(self, spec: SandboxSpec, command: str, *, anew: bool = False) -> CallResult | None:
        with _Use(self, CALL_SECONDS) as connection:
            connection.send_json({"op": "make_packages", "spec": spec_to(spec), "command": command, "anew": anew})
            made = connection.receive_json()["ok"]
            return result_from(made) if made else None

    def close(self, sandbox_id: str, *, discard: bool = False) -> None:
        self._ask({"op": "close", "sandbox_id": sandbox_id, "discard": discard})

    def sweep(self, alive: Sequence[str]) -> list[str]:
        gone: list[str] = self._ask({"op": "sweep", "alive": list(alive)})
        return gone

    def disconnect(self) -> None:
        """Close the idle connections; the client can be used again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _ask(self, request: dict[str, Any]) -> Any:
        with _Use(self, self._answer_seconds) as connection:
            connection.send_json(request)
            return connection.receive_json()["ok"]

    def _stream(self, request: dict[str, Any]) -> Iterator[bytes]:
        with _Use(self, TRANSFER_SECONDS) as connection:
            connection.send_json(request)
            connection.receive_json()
            yield from connection.receive_pieces()

    def take(self) -> Connection:
        """An idle connection that is still open, else a new one."""
        with self._lock:
            if self._pid != os.getpid():
                # After a fork the parent's connections are the parent's.
                self._idle, self._pid = [], os.getpid()
            while self._idle:
                connection = self._idle.pop()
                if _is_open(connection.sock):
                    return connection
                connection.close()
        return self._connect()

    def give_back(self, connection: Connection) -> None:
        with self._lock:
            if len(self._idle) < IDLE_CONNECTIONS and self._pid == os.getpid():
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self) -> Connection:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(CONNECT_SECONDS)
        try:
            sock.connect(self._path)
        except OSError as error:
            sock.close()
            raise SandboxUnavailable(
                f"No sandbox host answers at {self._path} ({error.strerror or error}); is it running?"
            ) from None
        return Connection(sock)


class _Use:
    """A connection for one request: given back if all went well, closed otherwise."""

    def __init__(self, client: HostClient, seconds: float) -> None:
        self._client = client
        self._seconds = seconds

    def __enter__(self) -> Connection:
        self._connection = self._client.take()
        self._connection.sock.settimeout(self._seconds)
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._client.give_back(self._connection)
            return
        fault = self._connection.parting_fault() if isinstance(error, Closed) else None
        self._connection.close()
        if fault is not None:
            raise fault from None
        if isinstance(error, TimeoutError):
            raise SandboxUnavailable(f"The sandbox host did not answer within {self._seconds:.0f} s.") from None
        if isinstance(error, Closed):
            raise SandboxUnavailable("The sandbox host went away in the middle of a request.") from None
        if isinstance(error, Broken):
            raise SandboxError(f"The sandbox host and this client do not understand each other: {error}") from None


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    while piece := source.read(PIECE):
        yield piece


def _is_open(sock: socket.socket) -> bool:
    """Nothing may wait on an idle connection; end of file means that the host has gone."""
    try:
        sock.settimeout(0)
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
