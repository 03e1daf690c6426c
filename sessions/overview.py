"""The overview's lists: who needs a person, what runs, what just finished, and a line about the system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import Count, Q

from agents.models import Agent
from agents.templatetags.calls import CallView, view_of
from sessions import events as ev
from sessions.models import Event, Session, Thread
from sessions.projections.status import State, state_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contract.acting import Acting

PARTS = ("needs", "running", "finished", "system")
LISTED = 50
FINISHED = 8


@dataclass(frozen=True, slots=True)
class Need:
    """A session that waits, with the first call that it waits for."""

    session: Session
    call: CallView | None
    custom: bool
    since: Any
    count: int


@dataclass(frozen=True, slots=True)
class Line:
    """A session with its state."""

    session: Session
    state: State


def context(acting: Acting) -> dict[str, Any]:
    """Everything the overview shows of the caller's workspace; lists are bounded, counts are not."""
    mine = Session.objects.filter(workspace_id=acting.workspace_id, archived_at=None).select_related("agent")
    counts = mine.aggregate(
        needs=Count("pk", filter=Q(pending_count__gt=0)),
        running=Count("pk", filter=Q(status__in=("running", "rescheduling"))),
        total=Count("pk"),
    )
    running = mine.filter(status__in=("running", "rescheduling")).order_by("running_since", "pk")[:LISTED]
    finished = (
        mine.filter(pending_count=0, status__in=("idle", "terminated"))
        .exclude(last_seq=0)
        .order_by("-updated_at")[:FINISHED]
    )
    return {
        "counts": counts,
        "needs": _needs(mine.filter(pending_count__gt=0).order_by("updated_at", "pk")[:LISTED]),
        "running": _lines(running),
        "finished": _lines(finished),
        "agents": Agent.objects.filter(workspace_id=acting.workspace_id, archived_at=None).count(),
        "demo_only": not (settings.HOLDFAST_MODEL_BASE_URL or settings.HOLDFAST_MODEL_API_KEY),
    }


def _lines(sessions: Iterable[Session]) -> list[Line]:
    return [Line(session, state_for(session)) for session in sessions]


def state_for(session: Session) -> State:
    return state_of(
        session.status, session.stop_reason, archived=session.archived_at is not None, started=session.last_seq > 0
    )


def _needs(rows: Iterable[Session]) -> list[Need]:
    sessions = list(rows)
    if not sessions:
        return []
    pending = Thread.objects.filter(session__in=sessions).values_list("session_id", "pending")
    first: dict[str, str] = {}
    for session_id, calls in pending:
        if calls:
            first.setdefault(session_id, calls[0]["id"])
    events = Event.objects.defer("private").in_bulk(list(first.values()))
    return [_need(session, events.get(first.get(session.pk, ""))) for session in sessions]


def _need(session: Session, event: Event | None) -> Need:
    if event is None:
        return Need(session, None, custom=False, since=session.updated_at, count=session.pending_count)
    view = view_of(str(event.payload.get("name", "")), event.payload.get("input") or {})
    custom = event.type == ev.CUSTOM_TOOL_USE
    return Need(session, view, custom=custom, since=event.created_at, count=session.pending_count)
