"""Approvals and the targets of their notices as our API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contract.times import timestamp, timestamp_or_none
from sessions.models import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessions.models.approvals import Approval, NoticeTarget


def shapes(approvals: Sequence[Approval]) -> list[dict[str, Any]]:
    """Several approvals; one query for all of their calls."""
    calls = Event.objects.only("payload").in_bulk([row.pk for row in approvals])
    return [_shape(row, calls[row.pk].payload["input"]) for row in approvals]


def approval_shape(approval: Approval) -> dict[str, Any]:
    return shapes([approval])[0]


def _shape(approval: Approval, given: dict[str, Any]) -> dict[str, Any]:
    """``message`` is what whoever denied said; ``edited_input`` is null unless the call was changed."""
    return {
        "id": approval.pk,
        "type": "approval",
        "state": approval.state,
        "session_id": approval.session_id,
        "session_thread_id": approval.thread_id,
        "agent_id": approval.agent_id,
        "tool": approval.tool,
        "mcp_server_name": approval.mcp_server or None,
        "input": given,
        "edited_input": approval.edited_input,
        "asked_because": approval.why,
        "asked_at": timestamp(approval.asked_at),
        "expires_at": timestamp_or_none(approval.expires_at),
        "on_expiry": approval.on_expiry or None,
        "assignee": approval.assigned_to.get_username() if approval.assigned_to else None,
        "decided_at": timestamp_or_none(approval.decided_at),
        "decided_by": approval.decided_label or None,
        "decided_via": approval.via or None,
        "message": approval.message or None,
    }


def target_shape(target: NoticeTarget) -> dict[str, Any]:
    return {
        "id": target.pk,
        "type": "notice_target",
        "kind": target.kind,
        "address": target.address,
        "last_error": target.last_error,
        "created_at": timestamp(target.created_at),
    }
