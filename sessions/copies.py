"""Events of one log as drafts for another: under new ids that refer to each other, with their times, paid for once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from contract import ids
from sessions import events as ev
from sessions.events import Draft
from sessions.intake import interrupted_result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sessions.models import Event

# All that a conversation is made of: what was said to the agent and by it, its calls, what it works for, and what
# shapes its prompt.
COPIED = frozenset(
    {
        *(ev.USER_MESSAGE, ev.SYSTEM_MESSAGE, ev.USER_TOOL_CONFIRMATION, ev.USER_INTERRUPT),
        *(ev.AGENT_MESSAGE, ev.AGENT_THINKING, ev.MODEL_START, ev.MODEL_END, ev.COMPACTED),
        *(ev.USER_DEFINE_OUTCOME, ev.OUTCOME_START, ev.OUTCOME_END),
        *(ev.MESSAGE_RECEIVED, ev.OPS_WORKFLOW_REPORT, ev.OPS_PROCESSED),
        *(ev.OPS_CALL_EDITED, ev.OPS_CLEARED, ev.OPS_REMINDER, ev.OPS_SANDBOX_RESTORED),
        *(*ev.CALLS, *ev.RESULTS),
    }
)
PAID = ("usage", "cost")  # what a copied model request must not bring with it
REFERENCES = (
    *("model_request_start_id", "outcome_evaluation_start_id"),
    *("tool_use_id", "custom_tool_use_id", "mcp_tool_use_id"),
)
START_OF = {ev.MODEL_END: "model_request_start_id", ev.OUTCOME_END: "outcome_evaluation_start_id"}
STARTS = (ev.MODEL_START, ev.OUTCOME_START)


def copies(taken: Iterable[Event]) -> list[Draft]:
    """The events under new ids that refer to each other; open requests and evaluations go, open calls are closed."""
    rows = list(taken)
    ended = {str(row.payload.get(START_OF[row.type])) for row in rows if row.type in START_OF}
    rows = [row for row in rows if row.type not in STARTS or row.id in ended]
    renamed = {row.id: ids.event_id() for row in rows}
    later = processed(rows)
    drafts = [_copy(row, renamed, waits=row.id in later) for row in rows]
    drafts = [draft for draft in drafts if draft.type != ev.OPS_PROCESSED or draft.payload["event_ids"]]
    open_calls = {renamed[row.id]: row.type for row in rows if row.type in ev.CALLS}
    for draft in drafts:
        open_calls.pop(str(draft.payload.get(ev.CALL_ID_FIELD.get(draft.type, ""), "")), None)
    return [*drafts, *(interrupted_result(call_type, call_id) for call_id, call_type in open_calls.items())]


def processed(rows: Iterable[Event]) -> set[str]:
    """The ids of the events that waited for their turn, which came among ``rows``."""
    return {event_id for row in rows if row.type == ev.OPS_PROCESSED for event_id in row.payload["event_ids"]}


def _copy(row: Event, renamed: Mapping[str, str], *, waits: bool) -> Draft:
    payload = dict(row.payload)
    for name in REFERENCES:
        if name in payload:
            payload[name] = renamed.get(payload[name], payload[name])
    if row.type == ev.OPS_PROCESSED:
        payload["event_ids"] = [renamed[one] for one in payload["event_ids"] if one in renamed]
    private = {name: value for name, value in (row.private or {}).items() if name not in PAID}
    if "blocks" in private:
        private["blocks"] = [
            {**block, "event": renamed.get(block["event"], block["event"])} if "event" in block else block
            for block in private["blocks"]
        ]
    draft = Draft(row.type, payload, private=private or None, id=renamed[row.id], on_session=row.on_session)
    return replace(draft, at=row.created_at, processed=row.type not in ev.QUEUED or not waits)
