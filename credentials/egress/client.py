"""A worker's side of the egress proxy: tell it a session's rules and secrets, take over what it recorded."""

from __future__ import annotations

import json
import os
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from contract.secret import Secret
    from credentials.egress.rules import Networking

SECONDS = 10.0
IDLE_CONNECTIONS = 16  # of a process; a worker asks after every call of a sandbox
ANSWER_BYTES = 16 * 1024 * 1024


class EgressUnavailable(Exception):
    """No egress proxy answers; the text is fit for an operator."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A credential for a session. ``hosts`` None: wherever the environment lets it go; ``methods`` (in capitals) None:
    with any; ``paths`` None: below any.
    """

    id: str
    name: str
    secret: Secret
    hosts: tuple[str, ...] | None
    header: bool = True
    body: bool = False
    methods: tuple[str, ...] | None = None
    paths: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Registered:
    """``trust`` is the certificate (PEM) a sandbox must trust; ``placeholders`` are by variable name; ``variables``
    tell the sandbox's package managers where to look.
    """

    trust: str
    placeholders: Mapping[str, str]
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Report:
    """``known`` false: the proxy was started anew and must be told again. ``omitted``: requests too many to be kept."""

    known: bool
    omitted: int = 0
    records: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


def register(path: Path, session_id: str, networking: Networking, grants: Sequence[Grant]) -> Registered:
    """Tell the proxy what a session may; told again, it replaces what was told. Raises ``EgressUnavailable``."""
    answer = _ask(
        path,
        {
            "op": "register",
            "session": session_id,
            "networking": {
                "kind": networking.kind,
                "allowed_hosts": networking.allowed_hosts,
                "mcp_hosts": networking.mcp_hosts,
                "package_managers": networking.package_managers,
                "places": [{"host": place.host, "paths": place.paths} for place in networking.places],
            },
            "credentials": [
                {
                    "id": grant.id,
                    "name": grant.name,
                    "secret": grant.secret.reveal(),
                    "hosts": grant.hosts,
                    "header": grant.header,
                    "body": grant.body,
                    "methods": grant.methods,
                    "paths": grant.paths,
                }
                for grant in grants
            ],
        },
    )
    return Registered(answer["trust"], answer["placeholders"], answer["variables"])


def report(
    path: Path, session_id: str, taker: str, seen: Iterable[str] = (), *, unfinished_before: float | None = None
) -> Report:
    """The records of requests that are over, or of all that began before a time; those ``seen`` are forgotten.

    A record goes to one ``taker``. ``again`` in it: another one had it before and may have stored it.
    Raises ``EgressUnavailable``.
    """
    told = {"session": session_id, "taker": taker, "seen": list(seen), "unfinished_before": unfinished_before}
    answer = _ask(path, {"op": "report", **told})
    return Report(answer["known"], answer["omitted"], answer["records"])


def forget(path: Path, session_id: str) -> None:
    """End what a session has under way, and forget its secrets. Raises ``EgressUnavailable``."""
    _ask(path, {"op": "forget", "session": session_id})


def probe(path: Path) -> dict[str, Any]:
    """Raises ``EgressUnavailable``."""
    return _ask(path, {"op": "probe"})


def _ask(path: Path, question: Mapping[str, Any]) -> dict[str, Any]:
    try:
        sock = _idle.take(path) or _connected(path)
        try:
            sock.sendall(json.dumps(question).encode() + b"\n")
            answer = json.loads(_line(sock))
        except BaseException:
            sock.close()
            raise
        _idle.give_back(path, sock)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "no proper answer"
        raise EgressUnavailable(f"No egress proxy answers at {path} ({reason}); is it running?") from None
    if "ok" not in answer:
        raise EgressUnavailable(str(answer.get("error", "The egress proxy gave no proper answer.")))
    found: dict[str, Any] = answer["ok"]
    return found


def _connected(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(SECONDS)
        sock.connect(str(path))
    except OSError:
        sock.close()
        raise
    return sock


class _Idle:
    """Connections of this process that wait for their next question."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._kept: list[tuple[Path, socket.socket]] = []

    def take(self, path: Path) -> socket.socket | None:
        """One whose other side is still there."""
        while True:
            with self._lock:
                if self._pid != os.getpid():
                    # After a fork the parent's connections are the parent's.
                    self._kept, self._pid = [], os.getpid()
                if not self._kept:
                    return None
                of, sock = self._kept.pop()
            if of == path and _is_open(sock):
                return sock
            sock.close()

    def give_back(self, path: Path, sock: socket.socket) -> None:
        with self._lock:
            if len(self._kept) < IDLE_CONNECTIONS and self._pid == os.getpid():
                self._kept.append((path, sock))
                return
        sock.close()


_idle = _Idle()


def _is_open(sock: socket.socket) -> bool:
    """Nothing may wait on an idle connection; end of file means that the proxy has gone."""
    sock.settimeout(0)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        sock.settimeout(SECONDS)
        return True
    except OSError:
        return False
    return False


def _line(sock: socket.socket) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n"):
        piece = sock.recv(256 * 1024)
        if not piece or len(data) > ANSWER_BYTES:
            raise ConnectionResetError
        data += piece
    return bytes(data)
