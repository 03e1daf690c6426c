"""Text on its way: ephemeral frames for open streams while a reply is being written.

Frames follow spec core 11.6 and 14.3; they are never logged. Text is gathered for a few
milliseconds, so that a fast model doesn't cost one message per token.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from sessions import events as ev
from sessions import nudges

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.providers.base import StreamPart
    from sessions.harness.reply import Ids

GATHER_SECONDS = 0.02


class Preview:
    """Publishes one reply's parts as they arrive; made right before the request is sent."""

    def __init__(self, session_id: str, thread_id: str, ids: Ids) -> None:
        self._session_id, self._thread_id, self._ids = session_id, thread_id, ids
        self._indexes: dict[int, int] = {}
        self._blanks: dict[int, str] = {}
        self._started: set[str] = set()
        self._unheard: set[str] = set()  # events whose beginning reached nobody: no reader shows what follows
        self._unanswered: set[str] = set()  # … of whose beginning that isn't known yet
        self._gathered: dict[int, str] = {}
        self._sent_at = 0.0
        self._asked_at = time.monotonic()
        self._first_at: float | None = None

    @property
    def first_token_ms(self) -> float | None:
        """Milliseconds from the request to the first part of the reply; None if nothing came."""
        return None if self._first_at is None else round((self._first_at - self._asked_at) * 1000, 3)

    def part(self, part: StreamPart) -> None:
        """Take the next part of the reply."""
        if self._first_at is None:
            self._first_at = time.monotonic()
        if part.kind == "thinking_started":
            self._start(ev.AGENT_THINKING, self._ids.thinking)
        elif part.kind == "text" and part.text:
            self._text(part.index, part.text)

    def _text(self, block: int, text: str) -> None:
        """Blocks of nothing but blanks are never logged, so they get no index either."""
        if block not in self._indexes:
            text = self._blanks.pop(block, "") + text
            if not text.strip():
                self._blanks[block] = text
                return
            self._indexes[block] = len(self._indexes)
            if len(self._indexes) == 1:
                self._start(ev.AGENT_MESSAGE, self._ids.message)
                self._sent_at = time.monotonic()  # a moment later it is known whether anybody listens
        index = self._indexes[block]
        self._gathered[index] = self._gathered.get(index, "") + text
        if time.monotonic() - self._sent_at >= GATHER_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send what was gathered."""
        gathered, self._gathered = self._gathered, {}
        if gathered and self._ids.message in self._unanswered:
            nudges.answered(self._session_id)
        if self._ids.message in self._unheard:
            return
        for index, text in gathered.items():
            content = {"type": "text", "text": text}
            delta = {"type": "content_delta", "index": index, "content": content}
            self._publish({"type": "event_delta", "event_id": self._ids.message, "delta": delta})
        self._sent_at = time.monotonic()

    def _start(self, event_type: str, event_id: str) -> None:
        if event_id not in self._started:
            self._started.add(event_id)
            if nudges.is_unread(self._session_id):
                self._unheard.add(event_id)
                return
            self._unanswered.add(event_id)
            start: dict[str, object] = {"type": "event_start", "event": {"type": event_type, "id": event_id}}
            self._publish(start, partial(self._answered, event_id))

    def _answered(self, event_id: str, listeners: int) -> None:
        if not listeners:
            self._unheard.add(event_id)
        self._unanswered.discard(event_id)

    def _publish(self, frame: dict[str, object], heard: Callable[[int], None] | None = None) -> None:
        nudges.publish_delta(self._session_id, self._thread_id, frame, heard)
