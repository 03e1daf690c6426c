"""How a long-running process says that it lives: the protocol of systemd's watchdog, which `manage.py up` speaks too.

Whoever started the process names a socket in its environment (``NOTIFY_SOCKET``) and how long it may be silent
(``WATCHDOG_USEC``), and starts it anew when it is silent for longer: frozen, or stuck. Where nobody listens nothing
is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SHARE = 4  # beats in the time that may be silent: three of them may come late
BEAT = b"READY=1\nWATCHDOG=1"


class Heart:
    """The beats of this process; ``seconds`` between two, infinite where only its start is waited for."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        place = environ.get("NOTIFY_SOCKET", "")
        self._address = b"\0" + os.fsencode(place[1:]) if place.startswith("@") else os.fsencode(place)
        silence = environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.seconds = int(silence) / 1e6 / SHARE if silence.isdigit() and int(silence) and ours else math.inf
        self._next = -math.inf

    @property
    def pause(self) -> float | None:
        """Seconds after which a loop should beat again; None where nobody listens for it."""
        return self.seconds / 2 if self.wanted else None

    @property
    def wanted(self) -> bool:
        """Whether somebody listens for more than the start."""
        return bool(self._address) and self.seconds < math.inf

    def beat(self) -> None:
        """Say so, if it is time to; never waits, and never fails. What was refused is said again at the next call."""
        now = time.monotonic()
        if not self._address or now < self._next:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.sendto(BEAT, socket.MSG_DONTWAIT, self._address)  # refused if whoever listened is away, or reads late
            self._next = now + self.seconds

    def beat_aside(self, going: Callable[[], bool] = lambda: True) -> None:
        """Beat from a thread of its own, as long as ``going`` says that the work goes on."""

        def beat_for_ever() -> None:
            while True:
                if going():
                    self.beat()
                time.sleep(self.seconds / 2)

        self.beat()
        if self.wanted:
            threading.Thread(target=beat_for_ever, name="watchdog", daemon=True).start()

    async def beat_within(self) -> None:
        """Beat from an event loop, until cancelled."""
        self.beat()
        while self.wanted:
            await asyncio.sleep(self.seconds / 2)
            self.beat()
