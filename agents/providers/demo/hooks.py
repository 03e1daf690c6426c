"""How the app waits and breaks off: the one thing that differs between its two transports."""

from __future__ import annotations

import time
from typing import Protocol

HOOKS = "holdfast.demo.hooks"
"""The WSGI environ key under which a transport puts its ``Hooks``."""


class Hooks(Protocol):
    """What only the transport can do."""

    def pause(self, seconds: float) -> None:
        """Let time pass before the next bytes."""

    def drop(self) -> None:
        """Break the connection off: raise what ends it without an orderly end."""


class Dropped(Exception):
    """Tells the server to cut the connection."""


class SocketHooks:
    """For a real server: sleeping is sleeping, and the server cuts on ``Dropped``."""

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def drop(self) -> None:
        raise Dropped
