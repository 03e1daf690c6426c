"""The vocabulary of the log: every event type, how a draft is made and how an entry reads on the wire.

Pure. Shapes follow spec core 10 and 11; ``ops.*`` types are ours and stay out of the compatible
lists and streams unless they are asked for by ``types[]``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

USER_MESSAGE = "user.message"
USER_INTERRUPT = "user.interrupt"
USER_TOOL_CONFIRMATION = "user.tool_confirmation"
USER_CUSTOM_TOOL_RESULT = "user.custom_tool_result"
SYSTEM_MESSAGE = "system.message"

AGENT_MESSAGE = "agent.message"
AGENT_THINKING = "agent.thinking"
TOOL_USE = "agent.tool_use"
TOOL_RESULT = "agent.tool_result"
CUSTOM_TOOL_USE = "agent.custom_tool_use"
MCP_TOOL_USE = "agent.mcp_tool_use"
MCP_TOOL_RESULT = "agent.mcp_tool_result"
COMPACTED = "agent.thread_context_compacted"

STATUS_RUNNING = "session.status_running"
STATUS_IDLE = "session.status_idle"
STATUS_RESCHEDULED = "session.status_rescheduled"
STATUS_TERMINATED = "session.status_terminated"
SESSION_ERROR = "session.error"
SESSION_UPDATED = "session.updated"
SESSION_USAGE = "session.usage"
SESSION_DELETED = "session.deleted"

THREAD_RUNNING = "session.thread_status_running"
THREAD_IDLE = "session.thread_status_idle"
THREAD_RESCHEDULED = "session.thread_status_rescheduled"
THREAD_TERMINATED = "session.thread_status_terminated"

MODEL_START = "span.model_request_start"
MODEL_END = "span.model_request_end"

OPS_PREFIX = "ops."
OPS_PROCESSED = "ops.event_processed"
OPS_SANDBOX_OPENED = "ops.sandbox_opened"
OPS_SNAPSHOT = "ops.sandbox_snapshot"
OPS_FORKED = "ops.forked"
OPS_IMPORTED = "ops.imported"
OPS_TOOLS_LEFT_OUT = "ops.tools_left_out"
OPS_TAKEN_OVER = "ops.taken_over"
OPS_LIMIT_REACHED = "ops.limit_reached"
OPS_LIMITS_CHANGED = "ops.limits_changed"
OPS_REMINDER = "ops.reminder"
OPS_APPROVAL_EXPIRED = "ops.approval_expired"
OPS_JUDGED = "ops.permission_judged"  # a model judged a call for the policy auto
OPS_PERMISSIONS = "ops.permissions_changed"
OPS_CALL_EDITED = "ops.call_edited"
OPS_ASSIGNED = "ops.approval_assigned"
OPS_NETWORK_REQUEST = "ops.network_request"
OPS_NETWORK_OMITTED = "ops.network_requests_omitted"

QUEUED = frozenset({USER_MESSAGE, SYSTEM_MESSAGE, USER_INTERRUPT})
RESULT_OF = {
    TOOL_USE: TOOL_RESULT,
    CUSTOM_TOOL_USE: USER_CUSTOM_TOOL_RESULT,
    MCP_TOOL_USE: MCP_TOOL_RESULT,
}
CALLS = frozenset(RESULT_OF)
RESULTS = frozenset(RESULT_OF.values())
SPENDING = frozenset({MODEL_END, OPS_JUDGED})  # events whose private part holds usage and cost
CALL_ID_FIELD = {
    TOOL_RESULT: "tool_use_id",
    USER_CUSTOM_TOOL_RESULT: "custom_tool_use_id",
    MCP_TOOL_RESULT: "mcp_tool_use_id",
}

END_TURN: dict[str, Any] = {"type": "end_turn"}
RETRIES_EXHAUSTED: dict[str, Any] = {"type": "retries_exhausted"}
BUDGET_REACHED: dict[str, Any] = {"type": "budget_reached"}
PAUSES = frozenset({"requires_action", "budget_reached"})  # stop reasons after which the same turn goes on


def requires_action(event_ids: list[str]) -> dict[str, Any]:
    """The stop reason of a thread that waits for answers to the calls named (spec core 8.5)."""
    return {"type": "requires_action", "event_ids": event_ids}


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that is to be appended.

    ``processed`` false leaves ``processed_at`` null: the event waits in its thread's queue.
    ``private`` never leaves the server. ``id`` is given when others already refer to it. ``at`` is when it
    really happened, for events taken over from elsewhere; else the append's own moment holds.
    """

    type: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    private: Mapping[str, Any] | None = None
    processed: bool = True
    id: str | None = None
    on_session: bool = True
    at: datetime | None = None


def result_draft(
    call_type: str,
    call_id: str,
    content: Sequence[Mapping[str, Any]],
    *,
    is_error: bool,
    private: Mapping[str, Any] | None = None,
) -> Draft:
    """The result of a call, as the event that belongs to the call's own type."""
    result_type = RESULT_OF[call_type]
    payload = {CALL_ID_FIELD[result_type]: call_id, "content": list(content), "is_error": is_error}
    return Draft(result_type, payload, private=private)


def error_draft(call_type: str, call_id: str, text: str) -> Draft:
    """An error result that is one sentence."""
    return result_draft(call_type, call_id, [{"type": "text", "text": text}], is_error=True)


class Entry(Protocol):
    """What the pure code needs of a stored event; ``sessions.models.Event`` fits."""

    id: str
    seq: int
    type: str
    thread_id: str
    payload: dict[str, Any]
    private: dict[str, Any] | None
    processed_at: datetime | None
    created_at: datetime


def timestamp(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds, as the API writes times; None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def wire(entry: Entry) -> dict[str, Any]:
    """An entry as the API shows it: id, type, processed_at and the payload's fields."""
    return {
        "id": entry.id,
        "type": entry.type,
        "processed_at": timestamp(entry.processed_at),
        **entry.payload,
    }


def is_ops(event_type: str) -> bool:
    """True for operator events, which the compatible lists and streams leave out."""
    return event_type.startswith(OPS_PREFIX)
