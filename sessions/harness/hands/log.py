"""The thread's own log as a place of calls: ``ant__read_log`` reads it back, selectively and within bounds.

What clients see of the thread is what the model gets: no operator events, nothing private.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

from django.db import connection

from agents.sandboxes.base import CallResult
from agents.tools.toolset import MOST_ENTRIES
from sessions import events as ev
from sessions.intake import INTERRUPTED
from sessions.models import Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sessions.events import Draft
    from sessions.harness.hands.base import Turn
    from sessions.harness.state import Call

USUAL_ENTRIES = 20
LOOKED_AT = 10_000  # entries in which text is searched
ENTRY_CHARACTERS = 2_000
ALONE_CHARACTERS = 40_000  # of an entry that was asked for alone
ALL_CHARACTERS = 40_000


class LogHand:
    """Reads; so a call that an earlier worker may have begun is simply done."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._stopped = threading.Event()

    def open(self) -> list[Draft]:
        """Nothing to make ready."""
        self._stopped.clear()
        return []

    def call(self, call: Call, *, reattempt: bool) -> CallResult:
        """The entries that were chosen, one JSON object a line, and whether there are more."""
        started = time.monotonic()
        given = {name: value for name, value in call.input.items() if value is not None}
        try:
            text = self._chosen(given, call.id)
        finally:
            connection.close()
        if self._stopped.is_set():
            return CallResult([{"type": "text", "text": INTERRUPTED}], is_error=True)
        elapsed = (time.monotonic() - started) * 1000
        return CallResult([{"type": "text", "text": text}], is_error=False, duration_ms=elapsed)

    def finished(self, call: Call, result: CallResult) -> list[Draft]:
        """Nothing is left behind."""
        return []

    def interrupt(self) -> None:
        """A search ends at its next entry."""
        self._stopped.set()

    def _chosen(self, given: Mapping[str, Any], call_id: str) -> str:
        limit = max(1, min(int(given.get("limit", USUAL_ENTRIES)), MOST_ENTRIES))
        longest = ALONE_CHARACTERS if limit == 1 else ENTRY_CHARACTERS
        lines: list[str] = []
        room, more = ALL_CHARACTERS, False
        for number, line in self._matching(given, call_id):
            shown = f"{number} {_shorten(line, longest)}"
            if len(lines) == limit or (lines and len(shown) > room):
                more = True
                break
            lines.append(shown)
            room -= len(shown)
        if given.get("latest"):
            lines.reverse()
        if not lines:
            return "No entry matches."
        return "\n".join([*lines, "There are more: ask with after or before."] if more else lines)

    def _matching(self, given: Mapping[str, Any], call_id: str) -> Iterator[tuple[int, str]]:
        rows = Event.objects.filter(thread_id=self._turn.spec.thread_id).exclude(type__startswith=ev.OPS_PREFIX)
        rows = rows.exclude(pk=call_id)
        for name, lookup in (("types", "type__in"), ("after", "seq__gt"), ("before", "seq__lt")):
            if name in given:
                rows = rows.filter(**{lookup: given[name]})
        wanted = str(given.get("text", "")).casefold()
        newest_first = bool(given.get("latest"))
        for event in rows.order_by("-seq" if newest_first else "seq")[:LOOKED_AT].iterator(chunk_size=200):
            if self._stopped.is_set():
                return
            line = json.dumps(ev.own_wire(event), ensure_ascii=False)
            if wanted in line.casefold():
                yield event.seq, line


def _shorten(line: str, longest: int) -> str:
    return line if len(line) <= longest else f"{line[:longest]}… ({len(line) - longest} characters left out)"
