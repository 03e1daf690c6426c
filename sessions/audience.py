"""Which sessions nobody reads live, as far as a worker knows: unfinished text that nobody reads isn't said.

A worker learns that nobody reads a session when it says the beginning of a reply, and that somebody does from the
server process that begins to listen to the session's text, which announces it once the live channel's server has
taken its subscription. Who can't hear announcements knows nothing, and says everything.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

KNOWN_SECONDS = 30.0  # then the next beginning is said again, should an announcement have got lost
KNOWN_SESSIONS = 4096


class Audience:
    """What one process knows. Thread-safe.

    A beginning that was said before an announcement may have been answered before or after it. So what it was
    answered counts only if nothing was announced since it was said.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hears = False
        self._announced = 0
        self._unread: OrderedDict[str, float] = OrderedDict()

    def hears(self, hears: bool) -> None:
        """Announcements arrive from now on, or no more; either way all that was known is forgotten."""
        with self._lock:
            self._hears = hears
            self._announced += 1
            self._unread.clear()

    def begun(self) -> int:
        """What ``answered`` is to be given for a beginning that is said now."""
        return self._announced

    def answered(self, session_id: str, listeners: int, begun: int) -> None:
        """How many servers listened to the session's text when a beginning was said."""
        with self._lock:
            if listeners or not self._hears or begun != self._announced:
                return
            self._unread[session_id] = time.monotonic()
            self._unread.move_to_end(session_id)
            if len(self._unread) > KNOWN_SESSIONS:
                self._unread.popitem(last=False)

    def announced(self, session_id: str) -> None:
        """A server listens to the session's text."""
        with self._lock:
            self._announced += 1
            self._unread.pop(session_id, None)

    def is_absent(self, session_id: str) -> bool:
        """Whether it is known that nobody reads the session live."""
        since = self._unread.get(session_id)
        return since is not None and time.monotonic() - since < KNOWN_SECONDS
