"""The vocabulary of the log: every event type, how a draft is made and how an entry reads on the wire.

Pure. Shapes follow spec core 10 and 11; ``ops.*`` types are ours and stay out of the compatible
lists and streams unless they are asked for by ``types[]``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from contract.schema import OURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError)  # what values nobody here wrote raise

USER_MESSAGE = "user.message"
USER_INTERRUPT = "user.interrupt"
USER_TOOL_CONFIRMATION = "user.tool_confirmation"
USER_CUSTOM_TOOL_RESULT = "user.custom_tool_result"
USER_TOOL_RESULT = "user.tool_result"
USER_DEFINE_OUTCOME = "user.define_outcome"
SYSTEM_MESSAGE = "system.message"

AGENT_MESSAGE = "agent.message"
AGENT_THINKING = "agent.thinking"
TOOL_USE = "agent.tool_use"
TOOL_RESULT = "agent.tool_result"
CUSTOM_TOOL_USE = "agent.custom_tool_use"
MCP_TOOL_USE = "agent.mcp_tool_use"
MCP_TOOL_RESULT = "agent.mcp_tool_result"
COMPACTED = "agent.thread_context_compacted"
MESSAGE_SENT = "agent.thread_message_sent"
MESSAGE_RECEIVED = "agent.thread_message_received"

STATUS_RUNNING = "session.status_running"
STATUS_IDLE = "session.status_idle"
STATUS_RESCHEDULED = "session.status_rescheduled"
STATUS_TERMINATED = "session.status_terminated"
SESSION_ERROR = "session.error"
SESSION_UPDATED = "session.updated"
SESSION_USAGE = "session.usage"
SESSION_DELETED = "session.deleted"

THREAD_CREATED = "session.thread_created"
THREAD_RUNNING = "session.thread_status_running"
THREAD_IDLE = "session.thread_status_idle"
THREAD_RESCHEDULED = "session.thread_status_rescheduled"
THREAD_TERMINATED = "session.thread_status_terminated"

MODEL_START = "span.model_request_start"
MODEL_END = "span.model_request_end"
OUTCOME_START = "span.outcome_evaluation_start"
OUTCOME_ONGOING = "span.outcome_evaluation_ongoing"
OUTCOME_END = "span.outcome_evaluation_end"

RUN_CREATED = "workflow_run.created"
RUN_RUNNING = "workflow_run.status_running"
RUN_IDLE = "workflow_run.status_idle"
RUN_ENDED = "workflow_run.status_ended"
RUN_ERROR = "workflow_run.error"
PHASE_STARTED = "workflow_run.phase_started"
PHASE_ENDED = "workflow_run.phase_ended"

OPS_PREFIX = "ops."
OPS_PROCESSED = "ops.event_processed"
OPS_SANDBOX_OPENED = "ops.sandbox_opened"
OPS_SNAPSHOT = "ops.sandbox_snapshot"
OPS_FORKED = "ops.forked"
OPS_IMPORTED = "ops.imported"
OPS_TOOLS_LEFT_OUT = "ops.tools_left_out"
OPS_TAKEN_OVER = "ops.taken_over"
OPS_OUTSIDE_STARTED = "ops.environment_worker_started"  # a worker of a self_hosted environment
OPS_OUTSIDE_LOST = "ops.environment_worker_lost"
OPS_TEAM_USE = "ops.team_use"  # a call of a coordination tool, which clients don't see (spec advanced 7.4)
OPS_TEAM_RESULT = "ops.team_result"
OPS_WORKFLOW_REPORT = "ops.workflow_report"  # the results of a run, for the agent that wrote its plan
OPS_WORKFLOW_RESULT = "ops.workflow_result"  # what an agent of a run returned to it
OPS_TASK_CREATED = "ops.task_created"
OPS_TASK_CLAIMED = "ops.task_claimed"
OPS_TASK_RELEASED = "ops.task_released"
OPS_TASK_FINISHED = "ops.task_finished"
OPS_PACKAGES_INSTALLED = "ops.packages_installed"
OPS_LIMIT_REACHED = "ops.limit_reached"
OPS_LIMITS_CHANGED = "ops.limits_changed"
OPS_CLEARED = "ops.results_cleared"
OPS_REMINDER = "ops.reminder"
OPS_ONLY_TALK = "ops.only_talk"  # two agents do nothing but write to each other; the one that went on pauses
OPS_RETRY = "ops.retry"
OPS_PACED = "ops.model_pace"  # the model's server is given time; the request waits for its turn
OPS_ASKED = "ops.model_asked"  # that wait is over
OPS_FALLBACK = "ops.model_fallback"
OPS_PAUSED = "ops.paused"  # an operator holds the session between two steps
OPS_RESUMED = "ops.resumed"
OPS_RETRIED = "ops.retried"  # a person asked for another try
OPS_WORKER_LOST = "ops.worker_lost"
OPS_UNATTENDED = "ops.unattended"  # nobody had the thread for a while, which isn't running time
OPS_SANDBOX_RESTORED = "ops.sandbox_restored"
OPS_REPAIRED = "ops.rows_repaired"
OPS_PARKED = "ops.parked"
OPS_OUTPUT_LEFT_OUT = "ops.output_left_out"  # not kept as a file: unreadable, too large, or beyond the storage cap
OPS_NO_ROOM = "ops.no_room"  # a full disk; tried again until there is room
OPS_FAILED = "ops.turn_failed"  # a fault of our own; the turn is taken up again, three times at most
OPS_JUDGED = "ops.permission_judged"  # a model judged a call for the policy auto
OPS_PERMISSIONS = "ops.permissions_changed"
OPS_CALL_EDITED = "ops.call_edited"
OPS_ASSIGNED = "ops.approval_assigned"
OPS_REPOSITORY_READY = "ops.repository_ready"
OPS_NETWORK_REQUEST = "ops.network_request"
OPS_NETWORK_OMITTED = "ops.network_requests_omitted"

KNOWN = frozenset(
    value for name, value in globals().copy().items() if name.isupper() and isinstance(value, str) and "." in value[:-1]
)
QUEUED = frozenset({USER_MESSAGE, SYSTEM_MESSAGE, USER_INTERRUPT})
RESULT_OF = {
    TOOL_USE: TOOL_RESULT,
    CUSTOM_TOOL_USE: USER_CUSTOM_TOOL_RESULT,
    MCP_TOOL_USE: MCP_TOOL_RESULT,
    OPS_TEAM_USE: OPS_TEAM_RESULT,
}
ANSWERS = frozenset({USER_TOOL_CONFIRMATION, USER_CUSTOM_TOOL_RESULT, USER_TOOL_RESULT})
CALLS = frozenset(RESULT_OF)
RESULTS = frozenset({*RESULT_OF.values(), USER_TOOL_RESULT})
# Events whose private part may hold usage and cost.
SPENDING = frozenset({MODEL_END, OUTCOME_END, OPS_JUDGED, TOOL_RESULT, OPS_TEAM_RESULT})
CALL_ID_FIELD = {
    TOOL_RESULT: "tool_use_id",
    USER_TOOL_RESULT: "tool_use_id",
    USER_CUSTOM_TOOL_RESULT: "custom_tool_use_id",
    MCP_TOOL_RESULT: "mcp_tool_use_id",
    OPS_TEAM_RESULT: "tool_use_id",
}

END_TURN: dict[str, Any] = {"type": "end_turn"}
RETRIES_EXHAUSTED: dict[str, Any] = {"type": "retries_exhausted"}
BUDGET_REACHED: dict[str, Any] = {"type": "budget_reached"}
ONLY_TALK = "only_talk"
PAUSES = frozenset({"requires_action", "budget_reached"})  # stop reasons after which the same turn goes on


def paused(by: str) -> dict[str, Any]:
    """The stop reason of what an operator holds; ``by`` names them. It waits for no call."""
    return {**requires_action([]), OURS: {"paused": {"by": by}}}


def is_paused(stop_reason: Mapping[str, Any] | None) -> bool:
    """Whether it rests because an operator holds it."""
    return "paused" in ((stop_reason or {}).get(OURS) or {})


def requires_action(event_ids: list[str]) -> dict[str, Any]:
    """The stop reason of a thread that waits for answers to the calls named (spec core 8.5)."""
    return {"type": "requires_action", "event_ids": event_ids}


def only_talks(stop_reason: Mapping[str, Any] | None) -> bool:
    """Whether a thread rests because it and another only wrote to each other: a person may let it go on."""
    return ((stop_reason or {}).get(OURS) or {}).get("loop") == ONLY_TALK


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


SESSION_LEVEL = frozenset(
    {STATUS_RUNNING, STATUS_IDLE, STATUS_RESCHEDULED, STATUS_TERMINATED, SESSION_USAGE, SESSION_UPDATED}
)
CROSS_POSTED = frozenset(
    {THREAD_RUNNING, THREAD_IDLE, THREAD_RESCHEDULED, THREAD_TERMINATED, *ANSWERS}
    | {OPS_TASK_CREATED, OPS_TASK_CLAIMED, OPS_TASK_RELEASED, OPS_TASK_FINISHED}
)


def blocks(event_type: str, payload: Mapping[str, Any]) -> bool:
    """True for a call that waits for a person or a client."""
    return event_type == CUSTOM_TOOL_USE or (event_type in CALLS and payload.get("evaluated_permission") == "ask")


def cross_posted(event_type: str, payload: Mapping[str, Any]) -> bool:
    """Whether an event of a child thread shows on its session's stream too (spec advanced 8.4)."""
    named = event_type == USER_INTERRUPT and "session_thread_id" in payload
    return event_type in CROSS_POSTED or named or blocks(event_type, payload)


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


def own_wire(entry: Entry) -> dict[str, Any]:
    """An entry as its own thread shows it: only the session's stream says which thread a call or answer is of."""
    shown = wire(entry)
    if entry.type in CALLS or entry.type in ANSWERS:
        shown.pop("session_thread_id", None)
    return shown


def is_ops(event_type: str) -> bool:
    """True for operator events, which the compatible lists and streams leave out."""
    return event_type.startswith(OPS_PREFIX)
