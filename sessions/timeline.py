"""What the minimap and the trace are drawn from: bounded reads of a log of any length, laid out as drawings.

Everything drawn is attributes of SVG, so the strict policy has nothing to forbid and a drawing is text that prints.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import connection
from django.utils import timezone

from contract.phrases import marked as _
from sessions import events as ev
from sessions.models import Event, Session, Thread
from sessions.projections import kinds, trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sessions.projections.trace import Axis, Span

BINS = 240
LANES = 60  # threads with a line of their own
LANE = 12
LOW = 4  # pixels of a line, where there are so many that they share
TALL = 96  # pixels before lines get low
WIDTH = 1000.0
SPANS = 400
EVENTS = 1000
SHORTEST_PAUSE = timedelta(seconds=20)
WAITS = frozenset({"wait", "queue"})  # phases in which nothing happens
UNSEEN = (ev.STATUS_RUNNING, ev.THREAD_RUNNING, ev.SESSION_USAGE, ev.OPS_PROCESSED, ev.OPS_SNAPSHOT)

MARKS = """
SELECT thread_id, kind, floor(extract(epoch FROM created_at) / %(bin)s)::bigint AS bin, min(seq), min(created_at),
       max(created_at)
FROM (SELECT thread_id, seq, created_at, CASE {cases} ELSE 'system' END AS kind
      FROM agent_sessions_event WHERE session_id = %(session)s AND seq <= %(last)s AND type <> ALL(%(unseen)s)) marked
GROUP BY 1, 2, 3 ORDER BY 4
"""


@dataclass(frozen=True, slots=True)
class Lane:
    """A thread's line: its name, its place from the top, and a path for the marks of each kind."""

    name: str
    y: int
    paths: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Minimap:
    """``stops`` are "x:seq" from left to right: where the playhead can stand. ``gaps`` are folded pauses.

    It is drawn ``height`` high and shown ``pixels`` high: the lines of a big team get lower, so that all are seen.
    """

    lanes: list[Lane]
    gaps: list[tuple[float, float]]
    stops: str
    height: int
    more_lanes: int = 0

    @property
    def pixels(self) -> int:
        """What it takes of the page."""
        return min(self.height, max(TALL, len(self.lanes) * LOW))

    @property
    def names(self) -> list[tuple[str, int]]:
        """The agents of the lines from above, each once, and how many lines it has."""
        return list(Counter(lane.name for lane in self.lanes).items())


@dataclass(frozen=True, slots=True)
class _Mark:
    thread_id: str
    kind: str
    seq: int
    start: datetime
    end: datetime


def minimap(session: Session) -> Minimap:
    """Every event of the session as marks, gathered into at most about ``BINS`` places a lane and kind."""
    marks = _marks(session)
    pause = max(SHORTEST_PAUSE, timedelta(seconds=session.active_seconds / 20))
    axis = trace.Axis.over([(mark.start, mark.end) for mark in marks], width=WIDTH, idle=pause)
    threads = _named(list(dict.fromkeys(mark.thread_id for mark in marks)), session)
    shown, count = threads[:LANES], len(threads)
    rows = {thread_id: index for index, (thread_id, _name) in enumerate(shown)}
    lines: dict[int, list[_Mark]] = {}
    for mark in marks:
        lines.setdefault(rows.get(mark.thread_id, LANES - 1), []).append(mark)
    lanes = [Lane(name, n * LANE, _paths(lines.get(n, ()), axis, n)) for n, (_id, name) in enumerate(shown)]
    stops = dict(sorted(((axis.x(mark.start), mark.seq) for mark in marks), reverse=True))
    places = " ".join(f"{x:g}:{seq}" for x, seq in sorted(stops.items()))
    gaps = [(x, pause.total_seconds()) for x, pause in axis.gaps]
    return Minimap(lanes, gaps, places, max(1, len(shown)) * LANE, max(0, count - LANES))


def _named(thread_ids: list[str], session: Session) -> list[tuple[str, str]]:
    """Threads in the order they first did something, with their agents' names; one alone needs no query."""
    if len(thread_ids) < 2:
        return [(thread_id, str(session.agent_snapshot.get("name", ""))) for thread_id in thread_ids]
    found = Thread.objects.filter(pk__in=thread_ids[: LANES + 1]).values_list("pk", "agent_name")
    names = dict(found)
    return [(thread_id, names.get(thread_id, "")) for thread_id in thread_ids]


def _marks(session: Session) -> list[_Mark]:
    sizes = max(0.05, session.active_seconds / BINS)
    parameters: dict[str, Any] = {
        "bin": sizes,
        "session": session.pk,
        "last": session.last_seq,
        "unseen": list(UNSEEN),
    }
    cases = []
    for kind in kinds.KINDS:
        if kind.key != "system" and (types := kinds.types_of(kind.key)):
            cases.append(f"WHEN type = ANY(%({kind.key})s) THEN '{kind.key}'")
            parameters[kind.key] = types
    with connection.cursor() as cursor:
        cursor.execute(MARKS.format(cases=" ".join(cases)), parameters)
        return [_Mark(thread, kind, seq, start, end) for thread, kind, _bin, seq, start, end in cursor.fetchall()]


def _paths(marks: Sequence[_Mark], axis: Axis, index: int) -> list[tuple[str, str]]:
    """For each kind one path of little boxes; what overlaps to the right is drawn over."""
    top = index * LANE + 2
    drawn: dict[str, list[str]] = {}
    for mark in marks:
        x = axis.x(mark.start)
        width = max(2.0, axis.x(mark.end) - x)
        drawn.setdefault(mark.kind, []).append(f"M{x:g} {top}h{width:.4g}v8h-{width:.4g}z")
    return [(kind, "".join(parts)) for kind, parts in drawn.items()]


class Box(NamedTuple):
    """A stretch of a bar. ``label`` tells the phase in words."""

    phase: str
    label: str
    x: float
    width: float
    seconds: float


LABELS = {phase.key: phase.label for phase in kinds.PHASES} | {"turn": _("Turn")}


@dataclass(frozen=True, slots=True)
class Bar:
    """A span with its place on a line of ``WIDTH``.

    The last box of an open span grows ``rate`` a second from the moment ``since``; not at all while it is folded.
    """

    span: Span
    boxes: list[Box]
    seconds: float
    thread: str
    since: datetime | None = None
    rate: float = 0.0

    @property
    def settled(self) -> tuple[Any, ...]:
        """What of it does not change by itself as time goes on."""
        if self.span.end is not None:
            return (self,)
        span = replace(self.span, segments=())
        last = self.boxes[-1]
        return (span, self.boxes[:-1], last.phase, last.x, self.thread, self.since, self.rate)


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace of events ``first`` to ``last``. ``hidden`` spans don't pass the filter or the limit.

    ``axis`` is what every bar is placed on; while something goes on it reaches past the moment ``now``.
    """

    bars: list[Bar]
    gaps: list[tuple[float, float]]
    first: int
    last: int
    total: int
    hidden: int
    axis: Axis
    now: datetime

    @property
    def scale(self) -> str:
        """Differs if what is drawn stands elsewhere than before."""
        begun = self.axis.busy[0][0].timestamp() if self.axis.busy else 0.0
        return f"{begun:.3f} {self.axis.scale:.5g} {len(self.gaps)}"

    @property
    def kept(self) -> tuple[int, int]:
        """What to ask for as ``Wanted.kept``, to see the same begin again."""
        return (self.first, min(bar.span.seq for bar in self.bars)) if self.bars else (0, 0)

    @property
    def room(self) -> float:
        """Seconds until what grows has reached the end of the line."""
        return (self.axis.busy[-1][1] - self.now).total_seconds() if self.axis.busy else 0.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of a trace: the last ``EVENTS`` events, those before ``before``, or those ``between`` two numbers.

    ``kept``: (event, span) that a page which is looked at began with; they stay its first ones until it grew by a
    quarter, so that nothing on it moves with every event.
    """

    before: int | None = None
    between: tuple[int, int] | None = None
    errors: bool = False
    fold: bool = True
    kept: tuple[int, int] = (0, 0)


def read_trace(session: Session, wanted: Wanted) -> Trace:
    """The spans of a window, placed on an axis. Three queries."""
    entries = _entries(session, wanted)
    if not entries:
        return Trace([], [], 0, 0, session.last_seq, 0, trace.Axis((), WIDTH), timezone.now())
    now = timezone.now()
    found = trace.spans(entries, now)
    goes_on = _goes_on(session, found)
    if not goes_on:
        now = session.updated_at
        found = trace.spans(entries, now)
    shown = _shown([span for span in found if span.failed or not wanted.errors], wanted.kept[1])
    stretches = [one for span in shown for one in _busy(span, now, fold=wanted.fold)]
    pause = SHORTEST_PAUSE if wanted.fold else timedelta.max
    axis = trace.Axis.over(stretches or [(entries[0].created_at, now)], width=WIDTH, idle=pause, fold=wanted.fold)
    growing = {span.id for span in shown if goes_on and span.end is None and not (wanted.fold and _rests(span))}
    axis = axis.with_room(now) if growing else axis
    names = dict(Thread.objects.filter(session=session).values_list("pk", "agent_name")[:100])
    names = names if len(names) > 1 else {}
    bars = [_bar(span, axis, now, names, clock=goes_on, grows=span.id in growing) for span in shown]
    gaps = [(x, length.total_seconds()) for x, length in axis.gaps]
    first, last = entries[0].seq, entries[-1].seq
    return Trace(bars, gaps, first, last, session.last_seq, len(found) - len(shown), axis, now)


def _goes_on(session: Session, found: Sequence[Span]) -> bool:
    """Whether open spans grow: the session works, or it is idle and somebody or something waits for an answer."""
    if session.status == "idle":
        return session.archived_at is None and any(span.end is None for span in found)
    return session.status in ("running", "rescheduling")


def _entries(session: Session, wanted: Wanted) -> list[Event]:
    rows = Event.objects.filter(session=session, seq__lte=session.last_seq, type__in=SHOWN)
    if wanted.between is not None:
        rows = rows.filter(seq__gte=wanted.between[0], seq__lte=wanted.between[1])
    elif wanted.before is not None:
        rows = rows.filter(seq__lt=wanted.before)
    most = EVENTS * 5 // 4
    found = list(reversed(rows.filter(seq__gte=wanted.kept[0]).order_by("-seq")[:most]))
    return found if len(found) < most and wanted.kept[0] else found[-EVENTS:]


def _shown(spans: list[Span], kept: int) -> list[Span]:
    since = [span for span in spans if span.seq >= kept]
    if kept and len(since) < SPANS * 5 // 4:
        return since
    latest = {span.seq for span in sorted(spans, key=lambda span: span.seq)[-SPANS:]}
    return [span for span in spans if span.seq in latest]


def _busy(span: Span, now: datetime, *, fold: bool) -> Iterator[tuple[datetime, datetime]]:
    """Where something happens in a span; of a long wait only its two ends, so that what lies between is folded."""
    if span.depth == 0 and span.end is not None:
        return
    for one in span.segments or (trace.Segment("turn", span.start, span.end or now),):
        if fold and _is_pause(one):
            yield from ((one.start, one.start), (one.end, one.end))
        else:
            yield (one.start, one.end)


def _is_pause(segment: trace.Segment) -> bool:
    return segment.phase in WAITS and segment.end - segment.start > SHORTEST_PAUSE


def _rests(span: Span) -> bool:
    """Whether an open span is in a wait that is folded."""
    return bool(span.segments) and _is_pause(span.segments[-1])


def _bar(span: Span, axis: Axis, now: datetime, names: dict[str, str], *, clock: bool, grows: bool) -> Bar:
    boxes = []
    segments = span.segments or (trace.Segment("turn", span.start, span.end or now),)
    for segment in segments:
        x = axis.x(segment.start)
        width, seconds = max(1.5, axis.x(segment.end) - x), _seconds(segment.start, segment.end)
        boxes.append(Box(segment.phase, LABELS[segment.phase], x, width, seconds))
    bar = Bar(span, boxes, _seconds(span.start, span.end or now), names.get(span.thread_id, ""))
    if not clock or span.end is not None:
        return bar
    return replace(bar, since=segments[-1].start, rate=axis.scale if grows else 0.0)


def _seconds(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds())


SHOWN = [
    *(ev.USER_MESSAGE, ev.THREAD_RUNNING, ev.THREAD_IDLE, ev.THREAD_TERMINATED, ev.THREAD_RESCHEDULED),
    *(ev.MODEL_START, ev.MODEL_END, ev.USER_TOOL_CONFIRMATION, ev.OPS_SANDBOX_OPENED, ev.SESSION_ERROR),
    *(*ev.CALLS, *ev.RESULTS),
]
