"""The approvals in step with the log: ``sessions.log.append`` calls ``keep`` in its own transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sessions import events as ev
from sessions.bounds import patience
from sessions.models.approvals import ALLOWED, CLOSED, DENIED, EXPIRED, WAITING, Approval
from sessions.models.core import Session, Thread

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sessions.models import Event

ASKABLE = frozenset({ev.TOOL_USE, ev.MCP_TOOL_USE})
DEFAULT_OUTCOME = "deny"


def keep(stored: Sequence[Event], waiting: Collection[str]) -> list[Approval]:
    """Bring the rows up to date with events just appended; returns the new ones.

    ``waiting``: ids of the thread's calls without an answer before the append, so that most appends cost nothing.
    """
    asked = [event for event in stored if is_asked(event)]
    made = _ask(asked) if asked else []
    if waiting or asked:
        for event in stored:
            _answer(event)
    return made


def is_asked(event: Event) -> bool:
    """Whether an event is a call that waits for a person."""
    return event.type in ASKABLE and event.payload.get("evaluated_permission") == "ask"


def _ask(events: Sequence[Event]) -> list[Approval]:
    session = Session.objects.only("workspace_id", "agent_id", "limits").get(pk=events[0].session_id)
    thread = Thread.objects.only("parent_id", "agent").get(pk=events[0].thread_id)  # an append is of one thread
    seconds = patience(session, thread)
    return Approval.objects.bulk_create([_approval(event, session, seconds) for event in events])


def _approval(event: Event, session: Session, most: int | None) -> Approval:
    why = (event.private or {}).get("permission") or {}
    rule: dict[str, Any] = why.get("rule") or {}
    seconds = _seconds(why, most)
    return Approval(
        id=event.id,
        workspace_id=session.workspace_id,
        session_id=event.session_id,
        thread_id=event.thread_id,
        agent_id=session.agent_id,
        seq=event.seq,
        tool=event.payload["name"],
        mcp_server=event.payload.get("mcp_server_name") or "",
        why=why,
        asked_at=event.created_at,
        expires_at=event.created_at + timedelta(seconds=seconds) if seconds else None,
        on_expiry=rule.get("on_expiry", DEFAULT_OUTCOME) if seconds else "",
    )


def _seconds(why: Mapping[str, Any], most: int | None) -> int | None:
    """How long a call waits: as its rule says or as the caps say, whichever is shorter."""
    bounds = [seconds for seconds in ((why.get("rule") or {}).get("expires_after_seconds"), most) if seconds]
    return min(bounds) if bounds else None


def give_time(sessions: Iterable[Session]) -> None:
    """The patience of these sessions has changed; what still waits is measured by the new one."""
    for session in sessions:
        for approval in Approval.objects.filter(session=session, state=WAITING).select_related("thread"):
            seconds = _seconds(approval.why, patience(session, approval.thread))
            approval.expires_at = approval.asked_at + timedelta(seconds=seconds) if seconds else None
            approval.on_expiry = (approval.on_expiry or DEFAULT_OUTCOME) if seconds else ""
            approval.save(update_fields=["expires_at", "on_expiry"])


def _answer(event: Event) -> None:
    rows = Approval.objects.filter(state=WAITING)
    if event.type == ev.USER_TOOL_CONFIRMATION:
        rows.filter(pk=event.payload["tool_use_id"]).update(**_decision(event))
    elif event.type == ev.OPS_CALL_EDITED:
        rows.filter(pk=event.payload["tool_use_id"]).update(edited_input=event.payload["input"])
    elif event.type in ev.RESULTS:
        rows.filter(pk=event.payload[ev.CALL_ID_FIELD[event.type]]).update(state=CLOSED, decided_at=event.created_at)
    elif event.type == ev.THREAD_TERMINATED:
        rows.filter(thread_id=event.thread_id).update(state=CLOSED, decided_at=event.created_at)


def _decision(event: Event) -> dict[str, Any]:
    private = event.private or {}
    state = ALLOWED if event.payload["result"] == "allow" else DENIED
    return {
        "state": EXPIRED if private.get("via") == "expiry" else state,
        "decided_at": event.created_at,
        "decided_by_id": private.get("user_id"),
        "decided_label": private.get("by", ""),
        "via": private.get("via", ""),
        "message": event.payload.get("deny_message") or "",
        "shown": private.get("shown"),
    }
