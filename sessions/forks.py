"""Forks: a new session that begins where another one stood, with another agent version, model or prompt if wanted.

A fork takes the conversation over by copying the primary thread's events up to a point: the log of the new session is
whole in itself and stays so when its origin is deleted. Copies keep the time they happened and are not paid for again.
The workspace comes from the snapshot that fits the point best; where calls ran in between, the fork says so.
Rewinding is forking and archiving the origin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import transaction

from contract import audit, blobs, ids
from contract.errors import InvalidRequest
from contract.roles import Permission
from sessions import actions, inbox, log, workspaces
from sessions import events as ev
from sessions.events import Draft
from sessions.finding import bare_session, find_session
from sessions.intake import interrupted_result
from sessions.models import Event, Session, Thread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from contract.acting import Acting

MAX_EVENTS = 20_000
BATCH = 500
COPIED = frozenset(
    {
        *(ev.USER_MESSAGE, ev.SYSTEM_MESSAGE, ev.USER_TOOL_CONFIRMATION, ev.USER_INTERRUPT),
        *(ev.AGENT_MESSAGE, ev.AGENT_THINKING, ev.MODEL_START, ev.MODEL_END, ev.COMPACTED),
        *(*ev.CALLS, *ev.RESULTS),
    }
)
PAID = ("usage", "cost")  # what a copied model request must not bring with it
REFERENCES = ("model_request_start_id", "tool_use_id", "custom_tool_use_id", "mcp_tool_use_id")


class Parent(NamedTuple):
    """Where a session came from: the origin's id and the last event taken over."""

    id: str
    seq: int


def parent_of(session: Session) -> Parent | None:
    if session.forked_from_id is None or session.forked_at is None:
        return None
    return Parent(session.forked_from_id, session.forked_at)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fork of ``at`` really begins, and with which workspace.

    ``seq``: the last event taken over, the end of the reply if ``at`` lies inside one. ``snapshot``: the event that
    holds the workspace, None if there is none; ``calls_between`` calls ran since it was taken.
    """

    at: int
    seq: int
    snapshot: Event | None
    calls_between: int

    @property
    def sentence(self) -> str:
        """What the person who forks must know about the workspace."""
        if self.snapshot is None:
            return "No snapshot of the workspace exists for this point: the fork begins with an empty one."
        if self.calls_between:
            one = self.calls_between == 1
            return (
                f"The workspace is the one kept at event {self.snapshot.seq}; {self.calls_between} "
                f"call{'' if one else 's'} that ran between then and event {self.seq} left no trace in it."
            )
        return f"The workspace is as it was at event {self.seq}."


def place(session: Session, at: int) -> Place:
    """Where a fork at event ``at`` begins. Raises ``InvalidRequest`` for a number that isn't on the log."""
    if not 1 <= at <= session.last_seq:
        raise InvalidRequest(f"at: must be the number of an event of the session, from 1 to {session.last_seq}")
    rows = Event.objects.filter(session=session)
    seq = _whole_reply(rows, at)
    snapshots = rows.filter(type=ev.OPS_SNAPSHOT)
    calls = rows.filter(type__in=ev.CALLS)
    later = snapshots.filter(seq__gt=seq).order_by("seq").first()
    if later is not None and not calls.filter(seq__gt=seq, seq__lt=later.seq).exists():
        return Place(at, seq, _kept(later), 0)
    earlier = _kept(snapshots.filter(seq__lte=seq).order_by("-seq").first())
    since = earlier.seq if earlier is not None else 0
    return Place(at, seq, earlier, calls.filter(seq__gt=since, seq__lte=seq).count())


def _kept(snapshot: Event | None) -> Event | None:
    if snapshot is None or not blobs.exists(str(snapshot.payload.get("digest"))):
        return None
    return snapshot


def _whole_reply(rows: Any, at: int) -> int:
    """A reply is one commit: a point inside it moves to its end, so that no half reply is taken over."""
    inside = rows.filter(seq=at, type__in=(ev.AGENT_MESSAGE, ev.AGENT_THINKING, *ev.CALLS)).first()
    if inside is None:
        return at
    end = rows.filter(seq__gt=at, type=ev.MODEL_END, thread_id=inside.thread_id).order_by("seq").first()
    gap = end is not None and rows.filter(seq__gt=at, seq__lt=end.seq, type=ev.MODEL_START).exists()
    return at if end is None or gap else int(end.seq)


def fork(session_id: str, body: Mapping[str, Any], acting: Acting) -> Session:
    """A new session from ``session_id`` at event ``at`` (its end if that isn't given).

    ``agent_version``, ``agent_id``, ``model`` and ``system`` replace the origin's. ``prompt`` is sent to the fork in
    the place of a message that nobody had answered yet; without it such a message is sent again. ``rewind`` archives
    the origin, which must rest. Raises ``InvalidRequest``, ``NotFound``.
    """
    acting.require(Permission.OPERATE)
    origin = bare_session(session_id, acting)
    if not origin.last_seq:
        raise InvalidRequest("The session has no events yet; start a new one instead.")
    if body.get("rewind") and origin.status in ("running", "rescheduling"):
        raise InvalidRequest("rewind: the session is running; interrupt it and wait until it is idle, then try again")
    if origin.status == "idle" and body.get("at") in (None, origin.last_seq) and origin.archived_at is None:
        workspaces.keep(origin.pk)
    found = place(origin, body.get("at") or origin.last_seq)
    taken, unanswered = _taken(origin, found.seq)
    with transaction.atomic():
        child = actions.create_session(_create_body(origin, body), acting)
        Session.objects.filter(pk=child.pk).update(forked_from=origin, forked_at=found.seq)
        whence = {"forked_from_id": origin.pk, "forked_at": found.seq}
        audit.record(acting, "session.forked", "agent_sessions.Session", child.pk, after=whence)
        _take_over(child, origin, taken, found, acting)
        messages = [_said(body["prompt"])] if body.get("prompt") else unanswered
        if messages:
            inbox.send(bare_session(child.pk, acting), messages, acting)
        if body.get("rewind"):
            actions.archive_session(origin.pk, acting)
    return find_session(child.pk, acting)


def _create_body(origin: Session, body: Mapping[str, Any]) -> dict[str, Any]:
    agent: dict[str, Any] = {"type": "agent", "id": body.get("agent_id") or origin.agent_id}
    if body.get("agent_version") is not None:
        agent["version"] = body["agent_version"]
    elif not body.get("agent_id"):
        agent["version"] = origin.agent_version
    changed = {name: body[name] for name in ("model", "system") if body.get(name)}
    if changed:
        agent |= {"type": "agent_with_overrides", **changed}
    files = origin.resources.filter(kind="file").exclude(file=None)
    mounted = [{"type": "file", "file_id": one.file_id, "mount_path": one.mount_path} for one in files]
    created: dict[str, Any] = {
        "agent": agent,
        "environment_id": origin.environment_id,
        "title": body.get("title") or f"Fork of {origin.title or origin.pk}"[:200],
        "resources": mounted,
    }
    if origin.vault_ids:
        created["vault_ids"] = list(origin.vault_ids)
    return created


def _taken(origin: Session, seq: int) -> tuple[list[Event], list[dict[str, Any]]]:
    """The events to copy, and the messages at their end that nobody had answered."""
    primary = Thread.objects.get(session=origin, parent=None)
    rows = Event.objects.filter(thread=primary, seq__lte=seq, type__in=COPIED).order_by("seq")
    taken = list(rows[: MAX_EVENTS + 1])
    if len(taken) > MAX_EVENTS:
        raise InvalidRequest(f"at: a fork takes at most {MAX_EVENTS:,} events over; choose an earlier one")
    tail: list[dict[str, Any]] = []
    while taken and taken[-1].type == ev.USER_MESSAGE:
        tail.insert(0, {"type": ev.USER_MESSAGE, "content": taken.pop().payload["content"]})
    return taken, tail


def _said(prompt: str) -> dict[str, Any]:
    return {"type": ev.USER_MESSAGE, "content": [{"type": "text", "text": prompt}]}


def _take_over(child: Session, origin: Session, taken: Sequence[Event], found: Place, acting: Acting) -> None:
    """Write the copies, close what is open, note where it all came from, and hand the workspace over."""
    thread = Thread.objects.get(session=child, parent=None)
    drafts = copies(taken)
    note = {
        "session_id": origin.pk,
        "seq": found.seq,
        "snapshot_seq": found.snapshot.seq if found.snapshot else None,
        "by": acting.label,
        "message": f"event {found.seq} of {origin.pk}; what is above is taken over from it. {found.sentence}",
    }
    drafts.append(Draft(ev.OPS_FORKED, note))
    if found.snapshot is not None:
        blobs.touch(str(found.snapshot.payload["digest"]))
        drafts.append(Draft(ev.OPS_SNAPSHOT, dict(found.snapshot.payload)))
    for start in range(0, len(drafts), BATCH):
        log.append(child.pk, thread.pk, drafts[start : start + BATCH])


def copies(taken: Iterable[Event]) -> list[Draft]:
    """The events under new ids that refer to each other; open requests go, open calls are closed."""
    rows = list(taken)
    ended = {str(row.payload.get("model_request_start_id")) for row in rows if row.type == ev.MODEL_END}
    rows = [row for row in rows if row.type != ev.MODEL_START or row.id in ended]
    renamed = {row.id: ids.event_id() for row in rows}
    drafts = [_copy(row, renamed) for row in rows]
    open_calls = {renamed[row.id]: row.type for row in rows if row.type in ev.CALLS}
    for draft in drafts:
        open_calls.pop(str(draft.payload.get(ev.CALL_ID_FIELD.get(draft.type, ""), "")), None)
    return [*drafts, *(interrupted_result(call_type, call_id) for call_id, call_type in open_calls.items())]


def _copy(row: Event, renamed: Mapping[str, str]) -> Draft:
    payload = dict(row.payload)
    for name in REFERENCES:
        if name in payload:
            payload[name] = renamed.get(payload[name], payload[name])
    private = {name: value for name, value in (row.private or {}).items() if name not in PAID}
    if "blocks" in private:
        private["blocks"] = [
            {**block, "event": renamed.get(block["event"], block["event"])} if "event" in block else block
            for block in private["blocks"]
        ]
    draft = Draft(row.type, payload, private=private or None, id=renamed[row.id], on_session=row.on_session)
    return replace(draft, at=row.created_at)
