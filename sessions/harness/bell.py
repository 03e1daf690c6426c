"""A flag that a thread can wait for together with a socket: what a turn looks at while it waits for its model."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Bell(threading.Event):
    """An event whose ``set`` also makes a descriptor readable, until it is silenced. Closed by its owner, once nobody
    waits; others may ring it even then.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock, self._open = threading.Lock(), False
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._open = True

    def set(self) -> None:
        super().set()
        self.ring()

    def ring(self) -> None:
        """Have whoever polls look, though nothing is certain."""
        with self._lock:
            if self._open:
                os.eventfd_write(self._descriptor, 1)

    def silence(self) -> None:
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._open:
                os.eventfd_read(self._descriptor)

    def fileno(self) -> int:
        """What to poll; -1 once it is closed, as of a socket."""
        return self._descriptor if self._open else -1

    def close(self) -> None:
        """Give the descriptor back; once is enough."""
        with self._lock:
            if self._open:
                self._open = False
                os.close(self._descriptor)

    def __del__(self) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Attention:
    """The question whether to stop, and the bell that rings when the answer may have changed: what a provider takes for
    its ``agents.providers.base.Waking``.
    """

    should_stop: Callable[[], bool]
    bell: Bell

    def __call__(self) -> bool:
        return self.should_stop()

    def fileno(self) -> int:
        return self.bell.fileno()

    def silence(self) -> None:
        self.bell.silence()
