"""How far a session is, told from what its agent did and never from what it says of itself. Pure.

Turns with what started them and how they ended, files written and edited, what is under way, and where the time went.
Folded event by event, so that a long session is followed without being read again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sessions import events as ev
from sessions.projections import transcript

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sessions.events import Entry

TURNS, FILES = 100, 500  # kept of each; the oldest go first
TASK_CHARACTERS = 200
WAITS = {"requires_action": "people", "budget_reached": "limits"}  # what a thread that rests so waits for
CHANGES = {"write": "writes", "edit": "edits"}


@dataclass(slots=True)
class Turn:
    """One stretch of work: from a message to rest. ``stop`` is empty while it lasts."""

    task: str
    began_at: datetime
    ended_at: datetime | None = None
    steps: int = 0
    stop: str = ""


@dataclass(slots=True)
class Touched:
    """A file that calls wrote or edited. ``call_id``: the last of them, whose event holds the change."""

    path: str
    writes: int = 0
    edits: int = 0
    call_id: str = ""
    at: datetime | None = None


@dataclass(slots=True)
class Phase:
    """A phase of a workflow run. ``ended_at`` is None while it lasts."""

    run_id: str
    name: str
    began_at: datetime
    ended_at: datetime | None = None


@dataclass(slots=True)
class Spans:
    """Seconds spent, of all threads together; calls side by side count one by one.

    ``model`` and ``tools`` are work, the rest is waiting: for ``people`` to answer, for ``limits`` to be raised, for
    the next try of a request, for a worker to take the thread's ``turn``, for the ``pace`` that a model's server keeps.
    """

    model: float = 0.0
    tools: float = 0.0
    people: float = 0.0
    limits: float = 0.0
    retries: float = 0.0
    turn: float = 0.0
    pace: float = 0.0


@dataclass(slots=True)
class Underway:
    """A model request or a call on its way. ``waits_for``: who has to answer a call before it runs, a person, or the
    client whose own tool it is; of a request the server's ``pace``, until it is sent. ``since``: when it began, for a
    call that was allowed when that was, for a request that waited when it was sent.
    """

    entry: Entry
    since: datetime
    waits_for: str | None = None


@dataclass(slots=True)
class Progress:
    """A session after the entry numbered ``seq``."""

    seq: int = 0
    turns: list[Turn] = field(default_factory=list)
    phases: dict[str, Phase] = field(default_factory=dict)
    files: dict[str, Touched] = field(default_factory=dict)
    changed_seq: int = 0  # of the last call that changed a file
    spent: Spans = field(default_factory=Spans)
    calls: int = 0
    failed_calls: int = 0
    _open: dict[str, Underway] = field(default_factory=dict)  # by the id of the event that began it
    _names: dict[str, str] = field(default_factory=dict)  # of phases to come
    _inputs: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # of open calls, as people changed them
    _task: str = ""
    _waiting: dict[str, tuple[str, datetime]] = field(default_factory=dict)  # thread -> kind of wait, since

    def advance(self, entry: Entry) -> None:
        """Take the next entry of the session into account."""
        self.seq = entry.seq
        if entry.type == ev.USER_MESSAGE:
            self._task = _text(entry)
        elif entry.type == ev.STATUS_RUNNING:
            self._begin(entry)
        elif entry.type in (ev.STATUS_IDLE, ev.STATUS_TERMINATED):
            self._end(entry)
        elif entry.type in (ev.THREAD_IDLE, ev.THREAD_RESCHEDULED, ev.THREAD_RUNNING, ev.THREAD_TERMINATED):
            self._wait(entry)
        elif entry.type in (ev.MODEL_START, ev.OPS_PACED, ev.OPS_ASKED):
            self._request(entry)
        elif entry.type in ev.CALLS:
            self._open[entry.id] = Underway(entry, entry.created_at, _waits_for(entry))
            self.calls += 1
        elif entry.type == ev.USER_TOOL_CONFIRMATION:
            self._decided(entry)
        elif entry.type == ev.OPS_CALL_EDITED:
            self._inputs[entry.payload["tool_use_id"]] = entry.payload["input"]
        elif entry.type in (ev.RUN_CREATED, ev.PHASE_STARTED, ev.PHASE_ENDED):
            self._phase(entry)
        elif entry.type == ev.MODEL_END:
            self._close(entry.payload["model_request_start_id"], entry)
            self._step(entry)
        elif entry.type in ev.RESULTS:
            self._result(entry)

    def current(self) -> list[dict[str, Any]]:
        """What is under way: model requests and calls, with the thread they belong to and who has to answer first."""
        return [
            {
                "type": "model_request" if one.entry.type == ev.MODEL_START else "tool",
                "event_id": one.entry.id,
                "name": one.entry.payload.get("name"),
                "session_thread_id": one.entry.thread_id,
                "since": ev.timestamp(one.since),
                "waits_for": one.waits_for,
            }
            for one in self.underway
        ]

    @property
    def underway(self) -> list[Underway]:
        return list(self._open.values())

    def waiting_seconds(self, now: datetime) -> dict[str, float]:
        """Seconds of waiting by what was waited for, with what is going on now."""
        found = {kind: getattr(self.spent, kind) for kind in ("people", "limits", "retries", "turn", "pace")}
        paced = [("pace", one.since) for one in self.underway if one.waits_for == "pace"]
        for kind, since in [*self._waiting.values(), *paced]:
            found[kind] += max(0.0, (now - since).total_seconds())
        return found

    def _phase(self, entry: Entry) -> None:
        payload = entry.payload
        if entry.type == ev.RUN_CREATED:
            self._names |= {phase["id"]: phase["name"] for phase in payload["phases"]}
            return
        phase_id = payload["workflow_run_phase_id"]
        if entry.type == ev.PHASE_STARTED:
            name = self._names.pop(phase_id, "")
            self.phases[phase_id] = Phase(payload["workflow_run_id"], name, entry.created_at)
            if len(self.phases) > TURNS:
                del self.phases[next(iter(self.phases))]
        elif phase := self.phases.get(phase_id):
            phase.ended_at = entry.created_at

    def _begin(self, entry: Entry) -> None:
        if self.turns and self.turns[-1].ended_at is None:
            return  # another try of the same turn, whatever was queued meanwhile
        going_on = self.turns and self.turns[-1].stop in ev.PAUSES
        if going_on and not self._task:
            self.turns[-1].ended_at, self.turns[-1].stop = None, ""
            return
        self.turns.append(Turn(self._task, entry.created_at))
        self._task = ""
        del self.turns[:-TURNS]

    def _end(self, entry: Entry) -> None:
        if self.turns and self.turns[-1].ended_at is None:
            stop = (entry.payload.get("stop_reason") or {}).get("type", "terminated")
            self.turns[-1].ended_at, self.turns[-1].stop = entry.created_at, stop
            if stop == ev.RETRIES_EXHAUSTED["type"]:
                self._task = ""  # what was queued is dropped with the turn

    def _wait(self, entry: Entry) -> None:
        self._waited(entry.thread_id, entry.created_at)
        if entry.type != ev.THREAD_RUNNING:
            self._abandon(entry)
        stop = (entry.payload.get("stop_reason") or {}).get("type")
        if entry.type == ev.THREAD_RESCHEDULED:
            self._waiting[entry.thread_id] = ("retries", entry.created_at)
        elif entry.type == ev.THREAD_RUNNING:
            self._waiting[entry.thread_id] = ("turn", entry.created_at)
        elif kind := WAITS.get(stop or ""):
            self._waiting[entry.thread_id] = (kind, entry.created_at)

    def _waited(self, thread_id: str, until: datetime) -> None:
        """What a thread waited for is over."""
        if waited := self._waiting.pop(thread_id, None):
            kind, since = waited
            seconds = max(0.0, (until - since).total_seconds())
            setattr(self.spent, kind, getattr(self.spent, kind) + seconds)

    def _taken(self, entry: Entry, at: datetime) -> None:
        """A worker does something for the entry's thread, so its turn had come."""
        if self._waiting.get(entry.thread_id, ("",))[0] == "turn":
            self._waited(entry.thread_id, at)

    def _abandon(self, entry: Entry) -> None:
        """A request without an end is over once its thread rests or asks anew; the calls of a thread end with it."""
        over = entry.type == ev.THREAD_TERMINATED
        for one in self.underway:
            if one.entry.thread_id == entry.thread_id and (over or one.entry.type == ev.MODEL_START):
                del self._open[one.entry.id]

    def _decided(self, entry: Entry) -> None:
        if one := self._open.get(str(entry.payload.get("tool_use_id"))):
            one.since, one.waits_for = entry.created_at, None

    def _request(self, entry: Entry) -> None:
        """A thread's request begins, waits for its server's pace, or was sent after that. It has one at a time."""
        if entry.type == ev.MODEL_START:
            self._abandon(entry)
            self._taken(entry, entry.created_at)
            self._open[entry.id] = Underway(entry, entry.created_at)
            return
        asked = entry.type == ev.OPS_ASKED
        for one in self.underway:
            if one.entry.thread_id == entry.thread_id and one.entry.type == ev.MODEL_START:
                if asked and one.waits_for:
                    self.spent.pace += (entry.created_at - one.since).total_seconds()
                    one.since = entry.created_at
                one.waits_for = None if asked else "pace"

    def _step(self, entry: Entry) -> None:
        used = (entry.private or {}).get("usage") or {}
        if self.turns:
            self.turns[-1].steps += int(used.get("steps", 0))

    def _result(self, entry: Entry) -> None:
        ran = float((entry.private or {}).get("duration_ms") or 0)
        self._taken(entry, entry.created_at - timedelta(milliseconds=ran))
        call = self._close(entry.payload[ev.CALL_ID_FIELD[entry.type]], entry)
        failed = bool(entry.payload.get("is_error"))
        self.failed_calls += failed
        kind = CHANGES.get(call.payload.get("name", "")) if call is not None else None
        edited = self._inputs.pop(call.id, None) if call is not None else None
        if call is None or kind is None or failed:
            return
        self.changed_seq = call.seq
        path = str((edited or call.payload["input"]).get("file_path", ""))
        touched = self.files.pop(path, None) or Touched(path)
        setattr(touched, kind, getattr(touched, kind) + 1)
        touched.call_id, touched.at = call.id, entry.created_at
        self.files[path] = touched
        if len(self.files) > FILES:
            del self.files[next(iter(self.files))]

    def _close(self, opened: str, entry: Entry) -> Entry | None:
        begun = self._open.pop(opened, None)
        if begun is None:
            return None
        seconds = (entry.created_at - begun.since).total_seconds()
        if begun.waits_for == "pace":
            self.spent.pace += seconds
        elif begun.entry.type == ev.MODEL_START:
            self.spent.model += seconds
        elif begun.waits_for is None:
            self.spent.tools += seconds
        return begun.entry


def _waits_for(call: Entry) -> str | None:
    if call.type == ev.CUSTOM_TOOL_USE:
        return "client"
    return "person" if call.payload.get("evaluated_permission") == "ask" else None


def _text(entry: Entry) -> str:
    try:
        text, _parts = transcript.content(entry.payload.get("content") or ())
    except ev.UNREADABLE:  # damaged; the log's own page says so
        return ""
    words = " ".join(text.split())
    return words if len(words) <= TASK_CHARACTERS else words[: TASK_CHARACTERS - 1] + "…"
