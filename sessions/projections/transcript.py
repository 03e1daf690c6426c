"""The transcript: a session's events as rows that a person reads. Pure.

A call, the answer a person gave and its result are three events and one row; status, usage and
span events make no row. The page and the pushed fragments are drawn from the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from contract.phrases import Told
from contract.phrases import marked as _
from contract.plain import clean
from sessions import events as ev
from sessions.projections import faults, operations

if TYPE_CHECKING:
    from datetime import datetime

    from sessions.events import Entry

ANSWER_TYPES = frozenset({ev.USER_TOOL_CONFIRMATION, *ev.RESULTS})
SHOWN_CHARACTERS = 20_000
MESSAGE_CHARACTERS = 200_000

MARKS: dict[str, tuple[str, str]] = {
    ev.USER_INTERRUPT: ("stop-circle", _("Interrupted")),
    ev.STATUS_RESCHEDULED: ("arrow-path", _("Waiting before the next try")),
    ev.STATUS_TERMINATED: ("x-circle", _("Session ended")),
    ev.SESSION_UPDATED: ("pencil-square", _("Session settings changed")),
    ev.COMPACTED: ("queue-list", _("Earlier conversation condensed for the model")),
    ev.OPS_PERMISSIONS: ("shield-check", _("Permission rules changed")),
    ev.OPS_ASSIGNED: ("users", _("A decision was passed on")),
    ev.OPS_CALL_EDITED: ("pencil-square", _("A person changed a call before it ran")),
    ev.OPS_TOOLS_LEFT_OUT: ("puzzle-piece", _("Some tools of a server were left out")),
    ev.OPS_NETWORK_OMITTED: ("globe-alt", _("Further network requests are not on the log")),
    ev.OPS_SANDBOX_OPENED: ("cube", _("Sandbox opened")),
    **{event_type: (icon, "") for event_type, icon in operations.ICONS.items()},
}
LAYERS = {
    "rlimits": _("on each process"),
    "cgroup": _("on the whole sandbox"),
    "watchdog": _("watched while it runs"),
}
ENDINGS = {
    "end_turn": ("check", _("Turn finished")),
    "retries_exhausted": ("x-circle", _("Turn given up")),
    "budget_reached": ("exclamation-triangle", _("Stopped at the limit")),
    "refusal": ("no-symbol", _("The model declined to answer")),
}
DROPPED = _("What was queued was dropped with the turn: the agent has not read it. Send it again if it still matters")


@dataclass(frozen=True, slots=True)
class Text:
    """Text with an honest cut: ``dropped`` characters of it are not shown here."""

    body: str
    dropped: int = 0

    @property
    def lines(self) -> int:
        return self.body.count("\n") + 1 if self.body else 0


@dataclass(frozen=True, slots=True)
class Part:
    """One content block besides text: ``kind`` is the block's type, ``label`` names its source."""

    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said to a call: ``result`` is ``allow`` or ``deny``, or ``expired`` if nobody answered in time."""

    result: str
    message: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Result:
    """What came back from a call."""

    text: Text
    parts: tuple[Part, ...]
    is_error: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call. ``gated``: it needed a person; ``custom``: the client (or a person) answers it.

    ``thread``: the id of the child thread it is of, if it isn't the primary's; ``by``: the name of that thread's agent.
    """

    name: str
    input: Mapping[str, Any]
    gated: bool
    custom: bool
    decision: Decision | None = None
    result: Result | None = None
    thread: str = ""
    by: str = ""

    @property
    def waiting(self) -> bool:
        """True while the call waits for a person's decision or answer."""
        if self.result is not None:
            return False
        return self.custom or (self.gated and self.decision is None)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: ``kind`` is person, note, agent, thinking, call, error or mark."""

    id: str
    seq: int
    kind: str
    at: datetime
    text: Text = field(default_factory=lambda: Text(""))
    parts: tuple[Part, ...] = ()
    queued: bool = False
    icon: str = ""
    call: Call | None = None
    detail: str = ""
    fault: str = ""  # of an error: its type in ``faults``


def rows(entries: Iterable[Entry]) -> list[Row]:
    """The rows of ``entries`` (in log order), each call with the answers found among them."""
    made: dict[str, Row] = {}
    for entry in entries:
        call_id = answered_call(entry)
        if call_id is None:
            row = row_of(entry)
            if row is not None:
                made[row.id] = row
        elif call_id in made:
            made[call_id] = answered(made[call_id], entry)
    return list(made.values())


def answered_call(entry: Entry) -> str | None:
    """The id of the call that this event answers, None if it answers none."""
    if entry.type not in ANSWER_TYPES:
        return None
    return str(entry.payload.get(ev.CALL_ID_FIELD.get(entry.type, "tool_use_id"), ""))


def row_of(entry: Entry) -> Row | None:
    """The row that an event makes by itself; None for those that are not shown. A damaged one is told as such."""
    try:
        return _row_of(entry)
    except ev.UNREADABLE:
        told = Told(_("Damaged entry of the log, which can't be shown: %(type)s"), type=clean(entry.type))
        return Row(entry.id, entry.seq, "mark", entry.created_at, Text(told), icon="exclamation-triangle")


def _row_of(entry: Entry) -> Row | None:
    if entry.type in (ev.USER_MESSAGE, ev.SYSTEM_MESSAGE, ev.AGENT_MESSAGE):
        return _message(entry)
    if entry.type == ev.AGENT_THINKING:
        return Row(entry.id, entry.seq, "thinking", entry.created_at)
    if entry.type in ev.CALLS:
        return Row(entry.id, entry.seq, "call", entry.created_at, call=_call(entry))
    if entry.type == ev.SESSION_ERROR:
        return _error(entry)
    return _mark(entry)


def answered(row: Row, entry: Entry) -> Row:
    """A call's row with one more answer: the person's decision, or the result."""
    if row.call is None:
        return row
    payload = entry.payload
    if entry.type == ev.USER_TOOL_CONFIRMATION:
        decision = Decision(str(payload.get("result", "")), str(payload.get("deny_message") or ""), entry.created_at)
        return replace(row, call=replace(row.call, decision=decision))
    try:
        text, parts = content(payload.get("content") or ())
    except ev.UNREADABLE:
        text, parts = _("This result is damaged in the log and can't be shown."), ()
    result = Result(cut(text), parts, bool(payload.get("is_error")), entry.created_at)
    return replace(row, call=replace(row.call, result=result))


def content(blocks: Sequence[Mapping[str, Any]]) -> tuple[str, tuple[Part, ...]]:
    """Content blocks as their text, and the other blocks by kind and source."""
    texts: list[str] = []
    parts: list[Part] = []
    for block in blocks:
        kind = str(block.get("type"))
        if kind == "text":
            texts.append(str(block.get("text", "")))
        else:
            parts.append(Part(kind, _source(block)))
    return "\n\n".join(texts), tuple(parts)


def cut(text: str, limit: int = SHOWN_CHARACTERS) -> Text:
    """The last ``limit`` characters, and how many came before them; without what would only steer a terminal."""
    dropped = max(0, len(text) - limit)
    return Text(clean(text[dropped:]), dropped)


class Step(NamedTuple):
    """What ``current_action`` needs of an event: ``name`` of the tool called, ``answers`` the call answered."""

    id: str
    type: str
    name: str
    answers: str
    at: datetime


class Action(NamedTuple):
    """What the agent does, in one phrase, and since when."""

    text: str
    since: datetime


def current_action(steps: Iterable[Step]) -> Action | None:
    """What the agent is doing after these events (in log order); None when it does nothing."""
    model: Action | None = None
    running: dict[str, Step] = {}
    for step in steps:
        if step.type == ev.MODEL_START:
            model = Action(_("Asking the model"), step.at)
        elif step.type == ev.OPS_PACED:
            model = Action(_("Waits for the model server's pace"), step.at)
        elif step.type == ev.OPS_ASKED:
            model = Action(_("Asking the model"), step.at)
        elif step.type == ev.MODEL_END:
            model = None
        elif step.type in ev.CALLS:
            running[step.id] = step
        elif step.type in ev.RESULTS:
            running.pop(step.answers, None)
        elif step.type in (ev.STATUS_IDLE, ev.STATUS_TERMINATED):
            model, running = None, {}
    if model is not None or not running:
        return model
    names = dict.fromkeys(step.name for step in running.values())
    return Action(Told(_("Running %(tools)s"), tools=", ".join(names)), next(iter(running.values())).at)


def _message(entry: Entry) -> Row:
    text, parts = content(entry.payload.get("content") or ())
    kind = {ev.USER_MESSAGE: "person", ev.SYSTEM_MESSAGE: "note"}.get(entry.type, "agent")
    queued = entry.type in ev.QUEUED and entry.processed_at is None
    return Row(entry.id, entry.seq, kind, entry.created_at, cut(text, MESSAGE_CHARACTERS), parts, queued)


def _call(entry: Entry) -> Call:
    payload = entry.payload
    if not isinstance(payload.get("input") or {}, dict):
        raise TypeError("input")
    return Call(
        name=str(payload.get("name", "")),
        input=payload.get("input") or {},
        gated=payload.get("evaluated_permission") == "ask",
        custom=entry.type == ev.CUSTOM_TOOL_USE,
        thread=str(payload.get("session_thread_id") or ""),
    )


def _error(entry: Entry) -> Row:
    error = entry.payload.get("error") or {}
    retry = (error.get("retry_status") or {}).get("type")
    detail = {
        "retrying": _("It is tried again by itself."),
        "exhausted": _("No more tries by itself. Try again, or send a message."),
        "terminal": _("The session can't go on. Start a new one."),
    }.get(str(retry), "")
    return Row(
        entry.id,
        entry.seq,
        "error",
        entry.created_at,
        Text(str(error.get("message", ""))),
        icon="x-circle",
        detail=detail,
        fault=faults.of(str(error.get("type"))).type,
    )


def _mark(entry: Entry) -> Row | None:
    mark = MARKS.get(entry.type)
    if entry.type == ev.STATUS_IDLE:
        mark = ENDINGS.get(str((entry.payload.get("stop_reason") or {}).get("type")))
    elif entry.type == ev.OPS_PROCESSED and entry.payload.get("dropped"):
        mark = ("exclamation-triangle", DROPPED)
    elif entry.type not in ev.KNOWN:
        unknown = Told(_("Event of a type that this page doesn't know: %(type)s"), type=clean(entry.type))
        mark = ("question-mark-circle", unknown)
    if mark is None:
        return None
    icon, sentence = mark
    sentence = operations.sentence(entry.type, entry.payload) or sentence
    if entry.type == ev.OPS_SANDBOX_OPENED and entry.payload.get("layers"):
        layers = ", ".join(str(LAYERS.get(one) or clean(str(one))) for one in map(str, entry.payload["layers"]))
        sentence = Told(_("Sandbox opened; limits in force: %(layers)s"), layers=layers)
    return Row(entry.id, entry.seq, "mark", entry.created_at, Text(sentence), icon=icon)


def _source(block: Mapping[str, Any]) -> str:
    source = block.get("source")
    if isinstance(source, Mapping):
        return str(source.get("file_id") or source.get("url") or source.get("media_type") or "")
    return str(source or block.get("title") or "")
