"""The event types that webhooks know, read from the SDK's union, and which log entries stand for which."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, get_args

from contract.schema import sdk_type
from sessions import events as ev

if TYPE_CHECKING:
    from sessions.models import Event

ORGANIZATION = frozenset(
    {
        "external_key.failed",
        "external_key.recovered",
        "user_profile.enforcement_action_opened",
        "user_profile.enforcement_action_resolved",
        "user_profile.program_status_updated",
    }
)
FROM_LOG = {
    ev.STATUS_RUNNING: ("session.status_run_started", "session.running"),
    ev.STATUS_IDLE: ("session.status_idled", "session.idled"),
    ev.STATUS_RESCHEDULED: ("session.status_rescheduled",),
    ev.STATUS_TERMINATED: ("session.status_terminated",),
    ev.SESSION_UPDATED: ("session.updated",),
    "span.outcome_evaluation_end": ("session.outcome_evaluation_ended",),
}
OF_CHILDREN = {
    "session.thread_created": "session.thread_created",
    ev.THREAD_IDLE: "session.thread_idled",
    ev.THREAD_TERMINATED: "session.thread_terminated",
}
BY_STOP_REASON = {"requires_action": "session.requires_action", "budget_reached": "session.budget_reached"}


@cache
def shapes() -> dict[str, Any]:
    """Event type -> the SDK's model of its ``data``."""
    union = sdk_type("beta_webhook_event_data.BetaWebhookEventData")
    members = get_args(get_args(union)[0])
    return {get_args(member.model_fields["type"].annotation)[0]: member for member in members}


@cache
def groups() -> dict[str, list[str]]:
    """Event types by the kind of object they are about, for people to choose from."""
    found: dict[str, list[str]] = {}
    for name in sorted(shapes()):
        found.setdefault(name.partition(".")[0], []).append(name)
    return found


def data(event_type: str, object_id: str, workspace_id: str, organization_id: str, beside: Any) -> dict[str, Any]:
    """The ``data`` of an event: the fields that its type has."""
    known = {"id": object_id, "organization_id": organization_id, "workspace_id": workspace_id, **beside}
    fields = shapes()[event_type].model_fields
    return {"type": event_type, **{name: known[name] for name in fields if name != "type"}}


def of_event(event: Event) -> list[str]:
    """The types that an entry of a session's log may stand for; thread events count for child threads only."""
    if not event.on_session:
        return []
    if event.type in OF_CHILDREN:
        return [OF_CHILDREN[event.type]]
    found = list(FROM_LOG.get(event.type, ()))
    if event.type == ev.STATUS_IDLE:
        reason = (event.payload.get("stop_reason") or {}).get("type", "")
        found += [BY_STOP_REASON[reason]] if reason in BY_STOP_REASON else []
    return found
