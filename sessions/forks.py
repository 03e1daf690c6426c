"""Forks: a new session that begins where another one stood, with another agent version, model or prompt if wanted.

A fork is started with all that its origin was started with, in rows of its own, and whoever forks must be allowed to
start it so. What people allowed beforehand stays behind: in the fork it is asked anew.
A fork takes the conversation over by copying the primary thread's events up to a point: the log of the new session is
whole in itself and stays so when its origin is deleted. Copies keep the time they happened and are not paid for again.
Threads of other agents stay behind; what they sent to the primary thread is part of the conversation. A fork of a
session at rest rests for the same reason, one from within a turn waits for a message.
The workspace comes from the snapshot that fits the point best; where calls ran in between, the fork says so.
Rewinding is forking and archiving the origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import transaction

from agents.stored_rules import readable
from contract import audit, blobs
from contract.errors import InvalidRequest
from contract.roles import Permission
from contract.schema import OURS
from credentials.models import Vault
from sessions import actions, inbox, log, resources, starting, threads, workspaces
from sessions import events as ev
from sessions.copies import COPIED, copies, processed
from sessions.events import Draft
from sessions.finding import bare_session, find_session
from sessions.models import Event, Session, Thread
from sessions.projections.columns import THREAD_STATUS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from contract.acting import Acting

MAX_EVENTS = 20_000
BATCH = 500
SAID = (ev.USER_MESSAGE, ev.SYSTEM_MESSAGE, ev.USER_DEFINE_OUTCOME)
TURNS = COPIED | {*THREAD_STATUS}  # what tells whether a turn had ended
# Why a fork rests as its origin did. What waited for an answer is closed in it, and it stands at no limit and no pause.
RESTS = ("end_turn", "refusal", "retries_exhausted")


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
    holds the workspace, None if there is none; ``calls_between`` calls ran since it was taken. ``threads``: how many
    threads of other agents there were by then, which are not taken over.
    """

    at: int
    seq: int
    snapshot: Event | None
    calls_between: int
    threads: int

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


def place(session: Session, at: int | str) -> Place:
    """Where a fork at event ``at``, its number or its id, begins. Raises ``InvalidRequest`` for one not on the log."""
    if isinstance(at, str):
        at = _number(session, at)
    if not 1 <= at <= session.last_seq:
        raise InvalidRequest(f"at: must be the number of an event of the session, from 1 to {session.last_seq}")
    rows = Event.objects.filter(session=session)
    seq = _whole_reply(rows, at)
    others = rows.filter(type=ev.THREAD_CREATED, seq__lte=seq).count()
    snapshots = rows.filter(type=ev.OPS_SNAPSHOT)
    calls = rows.filter(type__in=ev.CALLS)
    later = snapshots.filter(seq__gt=seq).order_by("seq").first()
    if later is not None and not calls.filter(seq__gt=seq, seq__lt=later.seq).exists():
        return Place(at, seq, _kept(later), 0, others)
    earlier = _kept(snapshots.filter(seq__lte=seq).order_by("-seq").first())
    since = earlier.seq if earlier is not None else 0
    return Place(at, seq, earlier, calls.filter(seq__gt=since, seq__lte=seq).count(), others)


def _number(session: Session, event_id: str) -> int:
    found = Event.objects.filter(session=session, pk=event_id).values_list("seq", flat=True).first()
    if found is None:
        raise InvalidRequest(f"at: there is no event {event_id} in this session")
    return found


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


def carried(origin: Session) -> list[tuple[str, str]]:
    """What a fork would have that can be left out: the id of each, and what it is called."""
    names = dict(Vault.objects.filter(pk__in=origin.vault_ids).values_list("pk", "display_name"))
    vaults = [(one, names.get(one, one)) for one in origin.vault_ids]
    return vaults + [(resources.named(one), one.mount_path) for one in origin.resources.order_by("created_at", "id")]


def fork(session_id: str, body: Mapping[str, Any], acting: Acting) -> Session:
    """A new session from ``session_id`` at event ``at`` (its end if that isn't given).

    ``agent_version``, ``agent_id``, ``model`` and ``system`` replace the origin's; another agent or version is taken
    as it is written down, without the origin's overrides. ``leave_out`` names vaults, memory stores, files and
    repositories that the fork shall not have. ``prompt`` is sent to the fork in the place of what nobody had answered
    yet; without it that is sent again. ``rewind`` archives the origin, which must rest. Raises ``InvalidRequest``,
    ``NotFound``.
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
        requests = _requests([_said(body["prompt"])] if body.get("prompt") else unanswered)
        _take_over(child, origin, taken, found, acting, rests=not requests)
        for messages in requests:
            inbox.send(bare_session(child.pk, acting), messages, acting)
        if body.get("rewind"):
            actions.archive_session(origin.pk, acting)
    return find_session(child.pk, acting)


def _create_body(origin: Session, body: Mapping[str, Any]) -> dict[str, Any]:
    """What the origin was started with, as the body that starts a session, with the changes of ``body``."""
    left_out = set(body.get("leave_out") or ())
    mounted = list(origin.resources.order_by("created_at", "id"))
    if unknown := left_out - {*origin.vault_ids, *map(resources.named, mounted)}:
        raise InvalidRequest(f"leave_out: the session has no vault, memory store or other resource {min(unknown)}")
    rules = [rule.stored() for rule in readable(origin.permission_rules)]
    ours = {"limits": origin.limits, "permission_rules": rules}
    created = {
        "agent": _agent(origin, body),
        "environment_id": origin.environment_id,
        "title": body.get("title") or f"Fork of {origin.title or origin.pk}"[:200],
        "resources": resources.again([one for one in mounted if resources.named(one) not in left_out]),
        "vault_ids": [one for one in origin.vault_ids if one not in left_out],
        "metadata": origin.metadata,
        "budget": origin.budget,
        OURS: {name: value for name, value in ours.items() if value},
    }
    return {name: value for name, value in created.items() if value}


def _agent(origin: Session, body: Mapping[str, Any]) -> dict[str, Any]:
    agent_id = body.get("agent_id") or origin.agent_id
    version = body.get("agent_version") or (origin.agent_version if agent_id == origin.agent_id else None)
    same = (agent_id, version) == (origin.agent_id, origin.agent_version)
    over = starting.overrides(origin) if same else {}
    over |= {name: body[name] for name in ("model", "system") if body.get(name)}
    named = {"id": agent_id} | ({"version": version} if version else {})
    return {"type": "agent_with_overrides", **named, **over} if over else {"type": "agent", **named}


def _taken(origin: Session, seq: int) -> tuple[list[Event], list[dict[str, Any]]]:
    """The events to copy, and what had been said by then that nobody had answered."""
    primary = Thread.objects.get(session=origin, parent=None)
    rows = Event.objects.filter(thread=primary, seq__lte=seq, type__in=COPIED).order_by("seq")
    taken = list(rows[: MAX_EVENTS + 1])
    if len(taken) > MAX_EVENTS:
        raise InvalidRequest(f"at: a fork takes at most {MAX_EVENTS:,} events over; choose an earlier one")
    tail: list[Event] = []
    while taken and (taken[-1].type in (*SAID, ev.OPS_PROCESSED) or _unanswered_request(taken[-1])):
        tail.insert(0, taken.pop())
    done = processed(taken)
    queued = [row for row in taken if row.type in SAID and _waited(row) and row.pk not in done]
    kept = [row for row in taken if row not in queued]
    return kept, [_again(row) for row in (*queued, *tail) if row.type in SAID]


def _unanswered_request(row: Event) -> bool:
    """True for a model request that brought no reply."""
    return row.type == ev.MODEL_START or (row.type == ev.MODEL_END and "blocks" not in (row.private or {}))


def _waited(row: Event) -> bool:
    """True for a message that found the agent at work and waited until it was taken in."""
    return row.type in ev.QUEUED and (row.processed_at is None or row.processed_at > row.created_at)


def _again(row: Event) -> dict[str, Any]:
    """What was said, as it would be sent."""
    names = ("description", "rubric", "max_iterations") if row.type == ev.USER_DEFINE_OUTCOME else ("content",)
    return {"type": row.type, **{name: row.payload[name] for name in names if name in row.payload}}


def _requests(messages: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The messages as they can be sent: a ``system.message`` is the last of its request (spec core 10.2)."""
    requests: list[list[dict[str, Any]]] = []
    for message in messages:
        if not requests or requests[-1][-1]["type"] == ev.SYSTEM_MESSAGE:
            requests.append([])
        requests[-1].append(message)
    return requests


def _said(prompt: str) -> dict[str, Any]:
    return {"type": ev.USER_MESSAGE, "content": [{"type": "text", "text": prompt}]}


def _rest(origin: Session, seq: int) -> dict[str, Any] | None:
    """Why the primary thread rested at a point; None within a turn, and where the fork does not rest for that."""
    rows = Event.objects.filter(thread__session=origin, thread__parent=None, type__in=TURNS)
    near = rows.filter(seq__gt=seq).order_by("seq").first(), rows.filter(seq__lte=seq).order_by("-seq").first()
    found = next((row for row in near if row is not None and row.type == ev.THREAD_IDLE), None)
    stop = (found.payload.get("stop_reason") or {}) if found else {}
    if found is None or stop.get("type") not in RESTS or ev.only_talks(stop):
        return None
    return {"stop_reason": stop, "stop_details": found.payload.get("stop_details")}


def _take_over(
    child: Session, origin: Session, taken: Sequence[Event], found: Place, acting: Acting, *, rests: bool
) -> None:
    """Write the copies, close what is open, note where it all came from, hand the workspace over, and rest."""
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
    if rests and (why := _rest(origin, found.seq)):
        drafts.append(Draft(ev.THREAD_IDLE, threads.about(thread, **why)))
    for start in range(0, len(drafts), BATCH):
        log.append(child.pk, thread.pk, drafts[start : start + BATCH])
