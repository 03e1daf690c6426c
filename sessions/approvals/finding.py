"""Reading the inbox: an approval, the list with its filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.errors import NotFound
from sessions.models.approvals import WAITING, Approval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.db.models import QuerySet

    from contract.acting import Acting

FILTERS = ("session", "agent", "tool", "rule", "mine")


def find_approval(approval_id: str, acting: Acting) -> Approval:
    """An approval of the caller's workspace, with its session and agent."""
    found = approvals_of(acting).filter(pk=approval_id).first()
    if found is None:
        raise NotFound(f"There is no approval {approval_id} in this workspace.")
    return found


def approvals_of(acting: Acting) -> QuerySet[Approval]:
    return Approval.objects.filter(workspace_id=acting.workspace_id).select_related(
        "session", "session__created_by", "agent", "assigned_to", "decided_by"
    )


def waiting(acting: Acting, chosen: Mapping[str, str] | None = None) -> QuerySet[Approval]:
    """What waits, oldest first."""
    return filtered(approvals_of(acting), chosen or {}, acting).filter(state=WAITING).order_by("asked_at", "id")


def decided(acting: Acting, chosen: Mapping[str, str] | None = None) -> QuerySet[Approval]:
    """What was answered, latest first."""
    return filtered(approvals_of(acting), chosen or {}, acting).exclude(state=WAITING).order_by("-asked_at", "-id")


def filtered(rows: QuerySet[Approval], chosen: Mapping[str, str], acting: Acting) -> QuerySet[Approval]:
    """``session`` and ``agent`` are ids, ``tool`` a name, ``rule`` the place of an agent's rule from 1, ``mine``
    anything at all for those assigned to the caller.
    """
    for name, column in (("session", "session_id"), ("agent", "agent_id"), ("tool", "tool")):
        if chosen.get(name):
            rows = rows.filter(**{column: chosen[name]})
    rule = chosen.get("rule", "")
    if rule.isascii() and rule.isdigit() and len(rule) < 6:
        rows = rows.filter(why__source="rule", why__index=int(rule) - 1)
    return rows.filter(assigned_to_id=acting.user_id) if chosen.get("mine") else rows
