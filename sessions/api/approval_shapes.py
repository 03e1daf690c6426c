"""Approvals and the targets of their notices as our API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contract.times import timestamp, timestamp_or_none
from sessions.approvals.facts import facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessions.approvals.facts import Facts
    from sessions.models.approvals import Approval, NoticeTarget


def shapes(approvals: Sequence[Approval]) -> list[dict[str, Any]]:
    """Several approvals; a few queries for all of them."""
    known = facts(approvals)
    return [_shape(row, known[row.pk]) for row in approvals]


def approval_shape(approval: Approval) -> dict[str, Any]:
    return shapes([approval])[0]


def _shape(approval: Approval, known: Facts) -> dict[str, Any]:
    """``message`` is what whoever denied said; ``edited_input`` is null unless the call was changed.

    ``hosts`` and ``credentials`` are those that the call itself names; ``spent`` and ``left`` are the session's, in US
    dollars, null where nobody knows; ``before`` are the last three things that happened, cut.
    """
    session = approval.session
    return {
        "id": approval.pk,
        "type": "approval",
        "state": approval.state,
        "session_id": approval.session_id,
        "session_thread_id": approval.thread_id,
        "agent_id": approval.agent_id,
        "tool": approval.tool,
        "mcp_server_name": approval.mcp_server or None,
        "input": known.given,
        "edited_input": approval.edited_input,
        "asked_because": approval.why,
        "hosts": list(known.hosts),
        "credentials": [lent.shape() for lent in known.credentials],
        "spent": f"{session.cost:f}" if session.cost_known else None,
        "left": f"{known.left:f}" if known.left is not None else None,
        "before": [{"who": line.who, "text": line.text} for line in known.before],
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
