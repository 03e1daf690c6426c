"""The overview's lists: who needs a person, what runs, what just finished, today's money, how the system does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, F, OuterRef, Q

from contract import zones
from contract.roles import Permission, may
from sessions import capwords, headlines, usage
from sessions import events as ev
from sessions.models import Event, Session, Thread, Work
from sessions.models.work import ACTIVE, STARTING
from sessions.projections.status import STATES, State, state_of
from sessions.system import checks, strip

if TYPE_CHECKING:
    from collections.abc import Iterable
    from zoneinfo import ZoneInfo

    from contract.acting import Acting

PARTS = ("needs", "outside", "running", "finished", "spend", "system")
LISTED = 50
FINISHED = 8

# What waits for a person: calls that no outside worker carries out, limits that somebody may raise, pauses.
ASKS = Q(pending_count__gt=0) & Q(pending_count__gt=F("outside_count"))
AT_LIMIT = Q(status="idle", stop_reason__type="budget_reached")
HELD = Q(status="idle") & ~Q(paused="")
NEEDS = ASKS | AT_LIMIT | HELD
OUTSIDE = Q(pending_count__gt=0, pending_count=F("outside_count"))


@dataclass(frozen=True, slots=True)
class Need:
    """A session that waits, with the first call that it waits for in a line; without one it is at its limit or held."""

    session: Session
    call: str
    custom: bool
    since: Any
    count: int


@dataclass(frozen=True, slots=True)
class Line:
    """A session with its state."""

    session: Session
    state: State


def context(acting: Acting, zone: ZoneInfo) -> dict[str, Any]:
    """Everything the overview shows of the caller's workspace; lists are bounded, counts are not."""
    mine = Session.listed("agent_snapshot").filter(workspace_id=acting.workspace_id, archived_at=None)
    mine = mine.select_related("agent")
    needs = _needs(mine.filter(NEEDS).order_by("updated_at", "pk")[:LISTED])
    waiting = outside(mine)
    running = mine.filter(status__in=("running", "rescheduling"))
    now = _lines(running.order_by("running_since", "pk")[:LISTED])
    finished = _lines(mine.filter(pk__in=_finished(acting)).order_by("-ended_at"))
    counts = {
        "needs": _count(needs, mine.filter(NEEDS)),
        "outside": _count(waiting, mine.filter(OUTSIDE)),
        "running": _count(now, running),
        "any": bool(needs or waiting or now or finished),
    }
    return {
        "counts": counts,
        "needs": needs,
        "outside": waiting,
        "running": now,
        "finished": finished,
        "spend": usage.spent_since(zones.today(zone), acting.workspace_id),
        "system": strip.strip(checks.sandbox_host()),
        "operates": may(acting.role, Permission.OPERATE),
    }


def _count(listed: list[Any], rows: Any) -> int:
    """How many there are; asked only where the list may be cut."""
    return len(listed) if len(listed) < LISTED else int(rows.count())


def _finished(acting: Acting) -> Any:
    """Ids of the sessions that came to rest last, found without the rest of their rows."""
    rows = Session.objects.filter(workspace_id=acting.workspace_id, archived_at=None, ended_at__isnull=False)
    rested = rows.filter(pending_count=0).exclude(AT_LIMIT | HELD)
    return rested.order_by("-ended_at").values("pk")[:FINISHED]


def outside(mine: Any) -> list[Session]:
    """Sessions that wait for an outside worker, the oldest first; ``served`` is true once one has them."""
    served = Work.objects.filter(session_id=OuterRef("pk"), state__in=(STARTING, ACTIVE))
    rows = mine.filter(OUTSIDE).select_related("environment").annotate(served=Exists(served))
    return list(rows.order_by("updated_at", "pk")[:LISTED])


def _lines(sessions: Iterable[Session]) -> list[Line]:
    return [Line(session, state_for(session)) for session in sessions]


def state_for(session: Session) -> State:
    if session.unreadable:
        return STATES["damaged"]
    state = state_of(
        session.status,
        session.stop_reason,
        archived=session.archived_at is not None,
        started=session.last_seq > 0,
        outside=0 < session.outside_count == session.pending_count,
    )
    stopped = capwords.stopped(session) if state.key == "budget_reached" else None
    return replace(state, sentence=stopped) if stopped else state


def _needs(rows: Iterable[Session]) -> list[Need]:
    sessions = list(rows)
    if not sessions:
        return []
    pending = Thread.objects.filter(session__in=sessions).values_list("session_id", "pending")
    first: dict[str, str] = {}
    for session_id, calls in pending:
        asking = [call["id"] for call in calls if call["kind"] != "result"]
        if asking:
            first.setdefault(session_id, asking[0])
    events = Event.objects.defer("private").in_bulk(list(first.values()))
    return [_need(session, events.get(first.get(session.pk, ""))) for session in sessions]


def _need(session: Session, event: Event | None) -> Need:
    count = session.pending_count - session.outside_count
    if event is None:
        return Need(session, "", custom=False, since=session.updated_at, count=count)
    call = headlines.of_call(str(event.payload.get("name", "")), event.payload.get("input") or {})
    custom = event.type == ev.CUSTOM_TOOL_USE
    return Need(session, call, custom=custom, since=event.created_at, count=count)
