"""The proxy's unix socket: workers tell the rules and take over the records, sandbox hosts hand in listeners.

JSON lines both ways, one answer to each. An ``attach`` carries the sandbox's listening socket along (SCM_RIGHTS);
what a connection attached ends with it. Only our own user and root are answered.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from credentials.egress.packages import Packages
    from credentials.egress.proxy import Proxy
    from credentials.egress.records import Record
    from credentials.egress.sessions import Session, Sessions

log = logging.getLogger("holdfast.egress")

LINE_BYTES = 4 * 1024 * 1024
READ_BYTES = 64 * 1024
CLIENTS = 1024
BACKLOG = 128
MAX_ID = 128
SETTLE_SECONDS, SETTLE_STEPS = 0.01, 5
RETRY_SECONDS = 0.1


class BadRequest(Exception):
    """The line is not one of this protocol's."""


class Control:
    """Serves the unix socket, and through it everything else."""

    def __init__(self, sessions: Sessions, proxy: Proxy, packages: Packages) -> None:
        self._sessions, self._proxy, self._packages = sessions, proxy, packages
        self._clients: set[asyncio.Task[None]] = set()

    async def serve(self, listener: socket.socket) -> None:
        """Accept until cancelled."""
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    sock, _ = await loop.sock_accept(listener)
                except OSError as error:  # no free descriptor at the moment
                    log.warning("no connection could be taken: %s", error)
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                if len(self._clients) >= CLIENTS or not _is_ours(sock):
                    sock.close()
                    continue
                task = asyncio.create_task(_Client(sock, self).run())
                self._clients.add(task)
                task.add_done_callback(self._clients.discard)
        finally:
            for task in list(self._clients):
                task.cancel()
            await asyncio.gather(*self._clients, return_exceptions=True)

    async def attach(self, session_id: str, listener: socket.socket) -> Attached:
        """Serve a sandbox's listening socket."""
        session = self._sessions.get(session_id)

        async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            session.tasks.add(task)
            try:
                await self._proxy.serve(session, reader, writer)
            finally:
                session.tasks.discard(task)

        server = await asyncio.start_server(visit, sock=listener, backlog=BACKLOG)
        session.attached += 1
        return Attached(session, server)

    async def register(self, told: dict[str, Any]) -> dict[str, Any]:
        session = self._sessions.register(_session_id(told), told)
        if session.networking is not None and session.networking.reaches_packages:
            await self._packages.settled()
        return {
            "trust": session.authority.certificate,
            "placeholders": {held.name: held.placeholder.decode() for held in session.credentials},
            "variables": self._packages.variables,
        }

    async def report(self, told: dict[str, Any]) -> dict[str, Any]:
        """Waits a moment for requests that are about to end: their programs have ended already."""
        session = self._sessions.find(_session_id(told))
        if session is None or session.networking is None:
            return {"known": False, "omitted": 0, "records": []}
        for _ in range(SETTLE_STEPS):
            if not session.records.under_way:
                break
            await asyncio.sleep(SETTLE_SECONDS)
        taken = session.records.take(told["taker"], told["seen"], unfinished_before=told["unfinished_before"])
        omitted, session.records.omitted = session.records.omitted, 0
        records = [{**_shown(record, session), "again": again} for record, again in taken]
        return {"known": True, "omitted": omitted, "records": records}

    def forget(self, told: dict[str, Any]) -> dict[str, Any]:
        self._sessions.forget(_session_id(told))
        return {}

    def probe(self, told: dict[str, Any]) -> dict[str, Any]:
        return {"sessions": len(self._sessions), "package_hosts": sorted(self._packages.hosts)}


class Attached:
    """A listener in service."""

    def __init__(self, session: Session, server: asyncio.Server) -> None:
        self._session, self._server = session, server

    def detach(self) -> None:
        self._session.attached -= 1
        self._server.close()


class _Client:
    """One connection of a worker or a sandbox host."""

    def __init__(self, sock: socket.socket, control: Control) -> None:
        self._sock, self._control = sock, control
        self._buffer = b""
        self._received: list[int] = []
        self._attached: dict[str, Attached] = {}
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any] | Awaitable[dict[str, Any]]]] = {
            "attach": self._attach,
            "detach": self._detach,
            "register": control.register,
            "report": control.report,
            "forget": control.forget,
            "probe": control.probe,
        }

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._sock.setblocking(False)
        try:
            while (line := await self._line()) is not None:
                answer = json.dumps(await self._answer(line)).encode() + b"\n"
                await loop.sock_sendall(self._sock, answer)
        except (OSError, BadRequest):
            log.debug("a client of the control socket went away")
        finally:
            for attached in self._attached.values():
                attached.detach()
            for descriptor in self._received:
                os.close(descriptor)
            self._sock.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            told = json.loads(line)
            answer = self._operations[told["op"]](told)
            return {"ok": answer if isinstance(answer, dict) else await answer}
        except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
            # Never the error's own text: it may quote what was told.
            log.warning("a request on the control socket was refused: %s", type(error).__name__)
            return {"error": f"the egress proxy did not take the request ({type(error).__name__})"}

    async def _attach(self, told: dict[str, Any]) -> dict[str, Any]:
        session_id = _session_id(told)
        listener = socket.socket(fileno=self._received.pop(0)) if self._received else None
        if listener is None or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ValueError("no listening socket came along")
        await self._detach(told)
        self._attached[session_id] = await self._control.attach(session_id, listener)
        return {}

    async def _detach(self, told: dict[str, Any]) -> dict[str, Any]:
        attached = self._attached.pop(_session_id(told), None)
        if attached is not None:
            attached.detach()
        return {}

    async def _line(self) -> bytes | None:
        """The next line; None at the end. Descriptors that come along are kept for the line that speaks of them."""
        while b"\n" not in self._buffer:
            data = await self._receive()
            if not data:
                return None
            self._buffer += data
            if len(self._buffer) > LINE_BYTES:
                raise BadRequest("the line is too long")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    async def _receive(self) -> bytes:
        while True:
            try:
                data, ancillary, _, _ = self._sock.recvmsg(READ_BYTES, socket.CMSG_SPACE(4))
            except BlockingIOError:
                await _readable(self._sock)
                continue
            for level, kind, content in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    self._received += array.array("i", content[: len(content) - len(content) % 4])
            return data


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def mark() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock, mark)
    try:
        await ready
    finally:
        loop.remove_reader(sock)


def _session_id(told: dict[str, Any]) -> str:
    name = told["session"]
    if not isinstance(name, str) or not 0 < len(name) <= MAX_ID:
        raise ValueError("a session's id")
    return name


def _shown(record: Record, session: Session) -> dict[str, Any]:
    names = {held.id: held.name for held in session.credentials}
    return {**record.json(), "credential_names": [names.get(one, "") for one in record.credentials]}


def _is_ours(sock: socket.socket) -> bool:
    """Only our own user and root may ask; the socket's mode says the same."""
    found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", found)[1] in (0, os.geteuid())


@contextlib.contextmanager
def bound(path: str) -> Iterator[socket.socket]:
    """A listening unix socket at ``path``, 0600, removed in the end. One that nobody serves is replaced."""
    if Path(path).exists() and not Path(path).is_socket():
        raise OSError(f"{path} exists and is no socket; choose another --socket.")
    with contextlib.suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as other:
        other.settimeout(2.0)
        try:
            other.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
        else:
            raise OSError(f"Another egress proxy answers at {path}; stop it first.")
    listener = socket.socket(socket.AF_UNIX)
    previous = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(previous)
    listener.listen(BACKLOG)
    try:
        yield listener
    finally:
        listener.close()
        with contextlib.suppress(FileNotFoundError):
            Path(path).unlink()
