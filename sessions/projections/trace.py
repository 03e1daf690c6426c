"""The trace: a window of the log as spans on a common clock, each cut into the phases it went through. Pure.

A turn holds what happened in it: model requests, tool calls, the opening of a sandbox. What the threads of a team do
at once stands under their own turns. Spans that are still open end at the moment the log was read. Bars keep their
order and their start for ever; only open ones grow.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from contract.phrases import Told
from contract.phrases import marked as _
from sessions import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sessions.events import Entry


SHORTEST = 5.0  # seconds that an axis with room to grow draws at least
STEP = 1.25
WORDS = {
    "end_turn": _("finished"),
    "requires_action": _("waits for an answer"),
    "retries_exhausted": _("given up"),
    "budget_reached": _("stopped at the limit"),
    "refusal": _("declined to answer"),
    "fresh": _("new"),
    "running": _("ran already"),
    "restored": _("restored from its snapshot"),
}


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a span; ``phase`` is a key of ``kinds.PHASES``."""

    phase: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Span:
    """``id`` and ``seq`` are those of the event that began it; ``end`` is None while it goes on.

    ``turn``: the number of the event that began the turn it belongs to, else of the first one it stands with.
    """

    id: str
    seq: int
    thread_id: str
    depth: int
    kind: str
    label: str
    start: datetime
    end: datetime | None
    segments: tuple[Segment, ...] = ()
    failed: bool = False
    notes: tuple[str, ...] = ()
    turn: int = 0

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands among the others, for ever."""
        return (self.turn, self.seq)


@dataclass(slots=True)
class _Open:
    """A call on its way: when it was made, answered by a person, and what it is called."""

    entry: Entry
    decided: datetime | None = None
    gated: bool = False


@dataclass(slots=True)
class _Fold:
    now: datetime
    spans: dict[str, Span] = field(default_factory=dict)
    turns: dict[str, str] = field(default_factory=dict)  # thread -> id of its open turn
    requests: dict[str, Entry] = field(default_factory=dict)
    calls: dict[str, _Open] = field(default_factory=dict)
    provisioned: tuple[datetime, datetime] | None = None


def spans(entries: Iterable[Entry], now: datetime) -> list[Span]:
    """The spans of ``entries`` (in log order): turn by turn as they began, and in each what belongs to it."""
    fold = _Fold(now)
    for entry in entries:
        with suppress(*ev.UNREADABLE):  # a damaged entry; the log's own page says so
            _take(fold, entry)
    _leave_open(fold)
    return sorted(_in_turns(fold), key=lambda span: span.place)


def _in_turns(fold: _Fold) -> list[Span]:
    """Each span with the turn of its own thread; a message that comes between two turns stands by itself."""
    placed: list[Span] = []
    latest: dict[str, Span] = {}
    for span in sorted(fold.spans.values(), key=lambda span: span.seq):
        turn = latest.get(span.thread_id)
        begins = span.depth == 0 and span.kind == "system"
        between = span.depth == 0 and (turn is None or (turn.end is not None and span.start >= turn.end))
        if begins or (turn is None and not between):
            latest[span.thread_id] = turn = span
        placed.append(replace(span, turn=span.seq if between or turn is None else turn.seq))
    return placed


def _take(fold: _Fold, entry: Entry) -> None:
    if entry.type == ev.USER_MESSAGE:
        _queued(fold, entry)
    elif entry.type == ev.THREAD_RUNNING:
        fold.turns[entry.thread_id] = entry.id
        fold.spans[entry.id] = _span(entry, 0, "system", Told(_("Turn")), None)
    elif entry.type in (ev.THREAD_IDLE, ev.THREAD_TERMINATED, ev.THREAD_RESCHEDULED):
        _end_turn(fold, entry)
    elif entry.type == ev.MODEL_START:
        fold.requests[entry.id] = entry
    elif entry.type == ev.MODEL_END:
        _model(fold, entry)
    elif entry.type in ev.CALLS:
        gated = entry.payload.get("evaluated_permission") == "ask" or entry.type == ev.CUSTOM_TOOL_USE
        fold.calls[entry.id] = _Open(entry, gated=gated)
    elif entry.type == ev.USER_TOOL_CONFIRMATION:
        _decided(fold, entry)
    elif entry.type in ev.RESULTS:
        _result(fold, entry)
    elif entry.type == ev.OPS_SANDBOX_OPENED:
        _sandbox(fold, entry)
    elif entry.type == ev.SESSION_ERROR:
        error = entry.payload.get("error") or {}
        label = error.get("message") or Told(_("Error"))
        fold.spans[entry.id] = replace(_span(entry, 1, "failed", label, entry.created_at), failed=True)


def _span(entry: Entry, depth: int, kind: str, label: str, end: datetime | None) -> Span:
    return Span(entry.id, entry.seq, entry.thread_id, depth, kind, label, entry.created_at, end)


def _queued(fold: _Fold, entry: Entry) -> None:
    end = entry.processed_at
    if end is not None and end - entry.created_at < timedelta(milliseconds=1):
        end = entry.created_at
    until = fold.now if end is None else end
    segments = (Segment("queue", entry.created_at, until),) if until > entry.created_at else ()
    fold.spans[entry.id] = replace(_span(entry, 0, "person", Told(_("Message")), end), segments=segments)


def _end_turn(fold: _Fold, entry: Entry) -> None:
    turn = fold.turns.pop(entry.thread_id, None)
    if turn is not None:
        reason = str((entry.payload.get("stop_reason") or {}).get("type") or "")
        failed = reason == "retries_exhausted" or entry.type == ev.THREAD_TERMINATED
        fold.spans[turn] = replace(fold.spans[turn], end=entry.created_at, failed=failed, notes=_notes(reason))
    _abandon(fold, entry)


def _abandon(fold: _Fold, end: Entry) -> None:
    """What its turn left without an end ends with it: a request, and the calls of a thread that is over."""
    for opened in [one for one in fold.requests.values() if one.thread_id == end.thread_id]:
        del fold.requests[opened.id]
        fold.spans[opened.id] = replace(_asking(opened, end.created_at), end=end.created_at)
    if end.type == ev.THREAD_TERMINATED:
        for call in [one for one in fold.calls.values() if one.entry.thread_id == end.thread_id]:
            del fold.calls[call.entry.id]
            fold.spans[call.entry.id] = replace(_called(call, end.created_at), end=end.created_at)


def _notes(word: str) -> tuple[str, ...]:
    """A word of the wire in ours; one that has none, as it is."""
    return (Told(WORDS[word]) if word in WORDS else word.replace("_", " "),) if word else ()


def _model(fold: _Fold, entry: Entry) -> None:
    opened = fold.requests.pop(str(entry.payload.get("model_request_start_id")), None)
    if opened is None:
        return
    private: Mapping[str, Any] = entry.private or {}
    start, end = opened.created_at, entry.created_at
    waited = private.get("first_token_ms")
    first = start if waited is None else min(end, start + timedelta(milliseconds=float(waited)))
    segments = [Segment("first", start, first), Segment("model", first, end)]
    span = _span(opened, 1, "model", private.get("model") or Told(_("Model request")), end)
    used = entry.payload.get("model_usage") or {}
    written = used.get("output_tokens")
    tokens = (Told(_("%(n)s tokens written"), n=f"{written:,}"),) if written else ()
    fold.spans[opened.id] = replace(
        span,
        segments=tuple(one for one in segments if one.end > one.start),
        failed=bool(entry.payload.get("is_error")),
        notes=tokens,
    )


def _decided(fold: _Fold, entry: Entry) -> None:
    call = fold.calls.get(str(entry.payload.get("tool_use_id")))
    if call is not None:
        call.decided = entry.created_at


def _result(fold: _Fold, entry: Entry) -> None:
    call_id = str(entry.payload.get(ev.CALL_ID_FIELD.get(entry.type, ""), ""))
    call = fold.calls.pop(call_id, None)
    if call is not None:
        duration = (entry.private or {}).get("duration_ms")
        failed = bool(entry.payload.get("is_error"))
        fold.spans[call_id] = _call(call, entry.created_at, duration, fold.provisioned, failed=failed)


def _call(
    call: _Open,
    end: datetime,
    duration_ms: float | None,
    provisioned: tuple[datetime, datetime] | None,
    *,
    failed: bool,
) -> Span:
    """A call's bar: waiting for a person, then (with a measured run) for its hand or its sandbox, then the run."""
    start = call.entry.created_at
    person = (call.decided or end) if call.gated else start
    ran = person if duration_ms is None else max(person, end - timedelta(milliseconds=float(duration_ms)))
    opened, ready = (ran, ran) if provisioned is None else (min(max(one, person), ran) for one in provisioned)
    parts = [
        *(Segment("wait", start, person), Segment("queue", person, opened), Segment("provision", opened, ready)),
        *(Segment("queue", ready, ran), Segment("tool", ran, end)),
    ]
    span = _span(call.entry, 1, "tool", str(call.entry.payload.get("name", "")), end)
    return replace(span, segments=tuple(one for one in parts if one.end > one.start), failed=failed)


def _sandbox(fold: _Fold, entry: Entry) -> None:
    took = float(entry.payload.get("duration_ms") or 0)
    start = entry.created_at - timedelta(milliseconds=took)
    span = replace(_span(entry, 1, "system", Told(_("Open the sandbox")), entry.created_at), start=start)
    segments = (Segment("provision", start, entry.created_at),) if took else ()
    fold.provisioned = (start, entry.created_at)
    fold.spans[entry.id] = replace(span, segments=segments, notes=_notes(str(entry.payload.get("origin") or "")))


def _leave_open(fold: _Fold) -> None:
    """What has no end yet, up to now."""
    for entry in fold.requests.values():
        fold.spans[entry.id] = _asking(entry, fold.now)
    for call in fold.calls.values():
        fold.spans[call.entry.id] = _called(call, fold.now)


def _asking(entry: Entry, now: datetime) -> Span:
    """A request whose reply has not begun."""
    span = _span(entry, 1, "model", Told(_("Model request")), None)
    return replace(span, segments=(Segment("first", entry.created_at, now),))


def _called(call: _Open, now: datetime) -> Span:
    """A call without a result."""
    waiting = call.gated and call.decided is None
    person = now if waiting else (call.decided or call.entry.created_at)
    parts = [Segment("wait", call.entry.created_at, person), Segment("tool", person, now)]
    span = _span(call.entry, 1, "tool", str(call.entry.payload.get("name", "")), None)
    return replace(span, segments=tuple(one for one in parts if one.end > one.start))


@dataclass(frozen=True, slots=True)
class Axis:
    """Real time folded onto a line of ``width``: stretches in which nothing happened take ``GAP`` each."""

    busy: tuple[tuple[datetime, datetime], ...]
    width: float

    GAP = 14.0

    @classmethod
    def over(
        cls, stretches: Iterable[tuple[datetime, datetime]], *, width: float, idle: timedelta, fold: bool = True
    ) -> Axis:
        """An axis over ``stretches``; pauses longer than ``idle`` between them are folded, unless ``fold`` is off."""
        merged: list[list[datetime]] = []
        for start, end in sorted(stretches):
            if merged and (not fold or start - merged[-1][1] <= idle):
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        return cls(tuple((start, end) for start, end in merged), width)

    @property
    def seconds(self) -> float:
        """How much time is drawn."""
        return sum((end - start).total_seconds() for start, end in self.busy)

    @property
    def scale(self) -> float:
        """How long a second is drawn."""
        room = self.width - self.GAP * max(0, len(self.busy) - 1)
        return room / self.seconds if self.seconds else 0.0

    def with_room(self, now: datetime) -> Axis:
        """The same with room to grow, if something goes on at ``now``: what is drawn then keeps its place for a while.

        The line's length is a step of a ladder, so whoever reads the same log before its end gets the same scale.
        """
        if not self.busy or self.busy[-1][1] < now:
            return self
        drawn = SHORTEST
        while drawn < self.seconds:
            drawn *= STEP
        start, end = self.busy[-1]
        return replace(self, busy=(*self.busy[:-1], (start, end + timedelta(seconds=drawn - self.seconds))))

    @property
    def gaps(self) -> list[tuple[float, timedelta]]:
        """Where pauses were folded, and how long they were."""
        pairs = zip(self.busy, self.busy[1:], strict=False)
        return [(self.x(before[1]), after[0] - before[1]) for before, after in pairs]

    def x(self, moment: datetime) -> float:
        """Where a moment lies, from 0 to ``width``."""
        scale, at = self.scale, 0.0
        for index, (start, end) in enumerate(self.busy):
            if moment <= end or index == len(self.busy) - 1:
                inside = min(max(moment, start), end) - start
                return round(at + inside.total_seconds() * scale, 2)
            at += (end - start).total_seconds() * scale + self.GAP
        return 0.0
