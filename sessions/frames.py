"""What a live reader gets: one ``Frame`` per thing to show, made once and shared by all readers."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from sessions import events

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sessions.models import Event

ENDINGS = frozenset({events.STATUS_TERMINATED, events.THREAD_TERMINATED})


@dataclass(frozen=True, eq=False)
class Frame:
    """One thing to show a reader.

    - ``event``: an entry of the log; ``event`` is the stored row, ``data`` its wire shape.
    - ``delta``: an ``event_start`` or ``event_delta`` of spec core 11.6, on no log.
    - ``deleted``: the session is gone; the last frame there is.
    - ``ping``: nothing happened for a while.

    ``seq`` is the place to resume after once this frame arrived; None where there is none.
    """

    kind: Literal["event", "delta", "deleted", "ping"]
    data: Mapping[str, Any]
    thread_id: str = ""
    on_session: bool = True
    seq: int | None = None
    event: Event | None = None
    number: int = 0  # of a delta: counts the frames of its event id from 0

    @property
    def type(self) -> str:
        """The event's own type: ``agent.message``, ``event_delta``, ``ping``."""
        return str(self.data["type"])

    @cached_property
    def text(self) -> str:
        """``data`` as one line of ASCII JSON: no client's idea of a line break can split it."""
        return json.dumps(self.data, separators=(",", ":"), default=str)

    @cached_property
    def sse(self) -> bytes:
        """The frame as one record of an event stream (spec core 14.1)."""
        resume = "" if self.seq is None else f"id: {self.seq}\n"
        return f"event: {self.type}\n{resume}data: {self.text}\n\n".encode("ascii")

    @cached_property
    def own(self) -> Frame:
        """The frame as the thread of its event shows it (spec advanced 8.4)."""
        if self.event is None or "session_thread_id" not in self.data:
            return self
        return replace(self, data=events.own_wire(self.event))

    def without_seq(self) -> Frame:
        """The same frame as a place one can't resume after: more of its row is to come."""
        return replace(self, seq=None)


@dataclass(frozen=True, slots=True)
class Row:
    """What one row of the log shows: itself, and the events it says are processed now."""

    seq: int
    frames: tuple[Frame, ...]

    @property
    def type(self) -> str:
        return self.frames[-1].type


PING = Frame(kind="ping", data={"type": "ping"})


def rows(entries: Iterable[Event], processed: Mapping[str, Event]) -> list[Row]:
    """The log's entries as rows of frames.

    An ``ops.event_processed`` entry shows the events it names once more, now with their
    ``processed_at`` (spec core 10.3); ``processed`` holds them by id. Those that had one from the first are not.
    """
    return [Row(entry.seq, (*_repeats(entry, processed), _event_frame(entry, entry.seq))) for entry in entries]


def processed_ids(entries: Iterable[Event]) -> list[str]:
    """Ids of the events that the ``ops.event_processed`` entries among ``entries`` name."""
    return [
        event_id
        for entry in entries
        if entry.type == events.OPS_PROCESSED
        for event_id in entry.payload.get("event_ids", ())
    ]


def deleted(event: Mapping[str, Any]) -> Frame:
    return Frame(kind="deleted", data=event)


def delta(thread_id: str, number: int, data: Mapping[str, Any]) -> Frame:
    return Frame(kind="delta", data=data, thread_id=thread_id, number=number)


def _repeats(entry: Event, processed: Mapping[str, Event]) -> list[Frame]:
    named = [processed[event_id] for event_id in processed_ids([entry]) if event_id in processed]
    return [_event_frame(event, entry.seq) for event in named if event.type in events.QUEUED]


def _event_frame(event: Event, seq: int) -> Frame:
    return Frame(
        kind="event",
        data=events.wire(event),
        thread_id=event.thread_id,
        on_session=event.on_session,
        seq=seq,
        event=event,
    )
