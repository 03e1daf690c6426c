"""A session's ``outcome_evaluations`` (spec core 10.8): one entry for each outcome, as the log leaves it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessions import events as ev

if TYPE_CHECKING:
    from datetime import datetime

    from sessions.events import Draft

TYPES = frozenset({ev.USER_DEFINE_OUTCOME, ev.OUTCOME_START, ev.OUTCOME_END})
Entries = tuple[dict[str, Any], ...]


def after(entries: Entries, draft: Draft, now: datetime, session_status: str) -> Entries:
    """The list once ``draft`` is on the log; ``session_status`` is that of the session then."""
    if draft.type == ev.USER_DEFINE_OUTCOME:
        return (*entries, _new(draft, session_status))
    if not entries:
        return entries
    last = entries[-1]
    if draft.type == ev.STATUS_RUNNING and last["result"] == "pending":
        return (*entries[:-1], {**last, "result": "running"})
    if draft.type == ev.OUTCOME_START:
        return (*entries[:-1], {**last, "result": "evaluating", "iteration": draft.payload["iteration"]})
    if draft.type == ev.OUTCOME_END:
        return (*entries[:-1], {**last, **_ended(draft, now)})
    return entries


def _new(draft: Draft, session_status: str) -> dict[str, Any]:
    return {
        "type": "outcome_evaluation",
        "outcome_id": draft.payload["outcome_id"],
        "description": draft.payload["description"],
        "iteration": 0,
        "result": "running" if session_status == "running" else "pending",
        "explanation": None,
        "completed_at": None,
    }


def _ended(draft: Draft, now: datetime) -> dict[str, Any]:
    explanation = {"explanation": draft.payload["explanation"]}
    if draft.payload["result"] == "needs_revision":
        return {**explanation, "result": "running", "iteration": draft.payload["iteration"] + 1}
    return {**explanation, "result": draft.payload["result"], "completed_at": ev.timestamp(now)}


def active(entries: Entries) -> dict[str, Any] | None:
    """The outcome that is being worked for; None if there is none."""
    return entries[-1] if entries and entries[-1]["completed_at"] is None else None
