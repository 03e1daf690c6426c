"""What a session's pages read: a window of the transcript, the current action, the files.

A window holds a bounded number of events. Calls that it only sees the answer of, and calls that wait
for a person, are fetched besides, so that no answer hangs in the air and nothing to decide is hidden.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from django.db.models import Q
from django.db.models.fields.json import KeyTextTransform

from credentials import at_rest
from sessions import events as ev
from sessions.models import Event, File, Session, Thread
from sessions.models.approvals import EXPIRED, Approval
from sessions.projections import transcript
from sessions.projections.transcript import ANSWER_TYPES, Action, Call, Row, Step, answered_call

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

EVENTS = 200
STEPS = 60
TOUCHED_FILES = 50
OUTPUTS = 100
WRITING_TOOLS = ("write", "edit")


@dataclass(frozen=True, slots=True)
class Window:
    """Rows of the events ``first`` to ``last``; ``total`` is the length of the log."""

    rows: list[Row]
    first: int
    last: int
    total: int
    chosen: str = ""  # id of the row that shows the event asked for

    @property
    def has_earlier(self) -> bool:
        return self.first > 1


def window(session: Session, *, before: int | None = None, thread_id: str | None = None) -> Window:
    """The last ``EVENTS`` events of the session's transcript (or of one thread's own), or those before ``before``."""
    shown = Event.objects.filter(session=session, seq__lte=session.last_seq)
    shown = shown.filter(thread_id=thread_id) if thread_id else shown.filter(on_session=True)
    if before is not None:
        shown = shown.filter(seq__lt=before)
    entries = list(reversed(shown.defer("private").order_by("-seq")[:EVENTS]))
    if not entries:
        return Window([], 1, 0, session.last_seq)
    rows = transcript.rows(sorted([*entries, *_besides(session, entries)], key=lambda entry: entry.seq))
    first = 1 if len(entries) < EVENTS else entries[0].seq
    return Window(expired(rows) if thread_id else named(rows), first, entries[-1].seq, session.last_seq)


def expired(rows: list[Row]) -> list[Row]:
    """The rows with the denials that are nobody's told as such; no query where there is no denial."""
    denied = {row.id for row in rows if row.call and row.call.decision and row.call.decision.result == "deny"}
    over = set(Approval.objects.filter(pk__in=denied, state=EXPIRED).values_list("pk", flat=True)) if denied else denied
    return [_expired(row, row.call) if row.call and row.id in over else row for row in rows]


def _expired(row: Row, call: Call) -> Row:
    decision = replace(call.decision, result="expired") if call.decision else None
    return replace(row, call=replace(call, decision=decision))


def named(rows: list[Row]) -> list[Row]:
    """The rows as ``expired`` tells them, with the agent at each call of a child thread; no query without those."""
    rows = expired(rows)
    wanted = {row.call.thread for row in rows if row.call and row.call.thread}
    if not wanted:
        return rows
    names = dict(Thread.objects.filter(pk__in=wanted).values_list("pk", "agent_name"))
    return [
        replace(row, call=replace(row.call, by=names.get(row.call.thread, ""))) if row.call and row.call.thread else row
        for row in rows
    ]


def around(session: Session, event: Event) -> Window:
    """The window in the middle of which ``event`` stands: the latest one if that holds it."""
    ahead = event.seq + EVENTS // 2
    shown = window(session, before=ahead if ahead <= session.last_seq else None)
    return replace(shown, chosen=answered_call(event) or event.id)


def find_event(session: Session, reference: str) -> Event | None:
    """An event of the session by its number or its id."""
    rows = Event.objects.filter(session=session, seq__lte=session.last_seq)
    if reference.isascii() and reference.isdigit() and len(reference) <= 18:
        return rows.filter(seq=int(reference)).first()
    return rows.filter(pk=reference).first() if reference.isascii() and "\x00" not in reference else None


def call_row(event: Event) -> Row | None:
    """The row of the call that ``event`` answers, with every answer up to this one."""
    call_id = answered_call(event)
    if call_id is None:
        return None
    call = Event.objects.filter(pk=call_id, session_id=event.session_id).defer("private").first()
    if call is None:
        return None
    between = Q(session_id=event.session_id, seq__gt=call.seq, seq__lt=event.seq)
    answers = Event.objects.filter(between & _answers_of([call_id])).defer("private").order_by("seq")
    return expired(transcript.rows([call, *answers, event]))[0]


def whole_row(event: Event) -> Row | None:
    """The row that shows ``event``: a call's with every answer it has got, whichever of them ``event`` is."""
    call_id = event.id if event.type in ev.CALLS else answered_call(event)
    if call_id is None:
        return transcript.row_of(event)
    wanted = Q(pk=call_id) | _answers_of([call_id])
    entries = Event.objects.filter(wanted, session_id=event.session_id).defer("private").order_by("seq")
    return next(iter(named(transcript.rows(entries))), None)


def current_action(session: Session) -> Action | None:
    """What the agent is doing now; looks at no more than the last ``STEPS`` events."""
    if session.status != "running":
        return None
    rows = (
        Event.objects.filter(session=session, on_session=True)
        .order_by("-seq")
        .values_list(
            "id",
            "type",
            KeyTextTransform("name", "payload"),
            KeyTextTransform("tool_use_id", "payload"),
            KeyTextTransform("custom_tool_use_id", "payload"),
            KeyTextTransform("mcp_tool_use_id", "payload"),
            "created_at",
        )[:STEPS]
    )
    return transcript.current_action(
        Step(event_id, kind, name or "", call or custom or mcp or "", at)
        for event_id, kind, name, call, custom, mcp, at in reversed(rows)
    )


def pending_ids(session: Session) -> list[str]:
    """Ids of the calls that wait for an answer, in order."""
    if not session.pending_count:
        return []
    threads = Thread.objects.filter(session=session).values_list("pending", flat=True)
    return [call["id"] for pending in threads for call in pending]


def touched_files(session: Session) -> list[str]:
    """Paths that write and edit calls named, the latest first, each once."""
    calls = Event.objects.filter(session=session, type=ev.TOOL_USE, payload__name__in=WRITING_TOOLS).order_by("-seq")
    named = KeyTextTransform("file_path", KeyTextTransform("input", "payload"))  # the contents beside it may be large
    rows = calls.values_list("pk", named, KeyTextTransform(at_rest.MARK, "payload"))[: TOUCHED_FILES * 4]
    paths = dict.fromkeys(path or _sealed_path(call_id, sealed) for call_id, path, sealed in rows)
    return [path for path in paths if path][:TOUCHED_FILES]


def _sealed_path(call_id: str, sealed: str | None) -> str:
    call = at_rest.opened({at_rest.MARK: sealed}, call_id) if sealed else {}
    return str((call.get("input") or {}).get("file_path") or "")


def outputs(session: Session) -> list[File]:
    """Files the session made under its outputs directory, by path."""
    return list(File.objects.filter(session=session, downloadable=True).order_by("path")[:OUTPUTS])


def _besides(session: Session, entries: Sequence[Event]) -> list[Event]:
    """Calls and answers outside the window that its rows need."""
    inside = {entry.id for entry in entries}
    answered = {call for entry in entries if (call := answered_call(entry))}
    calls = [entry.id for entry in entries if entry.type in ev.CALLS]
    missing = [call for call in {*answered, *pending_ids(session)} if call not in inside]
    if not missing and entries[-1].seq == session.last_seq:
        return []
    wanted = Q(pk__in=missing) | _answers_of([*missing, *calls])
    found = Event.objects.filter(wanted, session=session, seq__lte=session.last_seq).defer("private")
    return [entry for entry in found if entry.id not in inside]


def _answers_of(call_ids: Iterable[str]) -> Q:
    wanted = list(call_ids)
    fields = dict.fromkeys(ev.CALL_ID_FIELD.values())
    named = [Q((f"payload__{field}__in", wanted)) for field in fields]
    return Q(type__in=ANSWER_TYPES) & reduce(or_, named)
