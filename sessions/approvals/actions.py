"""Deciding, one or many, and passing on. The page, our API and the sweep all come through here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import transaction
from pydantic import ValidationError

from agents.models import Membership
from contract import audit
from contract.errors import ApiError, Conflict, InvalidRequest, PermissionDenied
from contract.roles import Permission, may
from sessions import events as ev
from sessions import inbox, log
from sessions.approvals import remembering
from sessions.approvals.answers import Aside, answered
from sessions.approvals.finding import find_approval
from sessions.events import Draft
from sessions.finding import lock_session
from sessions.models import Event
from sessions.models.approvals import WAITING, Approval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from contract.acting import Acting

MAX_MANY = 100
MAX_MESSAGE = 2000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one decision of many."""

    approval_id: str
    approval: Approval | None
    error: ApiError | None


@audit.logged("approval.decided", "agent_sessions.Approval", "approval_id", within="session")
def decide(
    approval_id: str,
    decision: Mapping[str, Any],
    acting: Acting,
    *,
    via: str,
    shown: Mapping[str, Any] | None = None,
) -> Approval:
    """Answer a waiting call. ``decision``: ``result`` allow or deny, ``message`` with a denial, ``input`` to run
    instead, ``remember`` with a ``scope`` and perhaps a ``rule``.

    Raises ``Conflict`` naming who was first, ``InvalidRequest``, ``PermissionDenied`` or ``NotFound``.
    """
    acting.require(Permission.OPERATE)
    find_approval(approval_id, acting)
    with transaction.atomic():
        approval = locked(approval_id, acting)
        event = _event(approval, decision)
        aside = Aside(via, decision.get("input"), shown)
        inbox.send(approval.session, [event], acting, {approval.pk: aside})
        if decision.get("remember"):
            _remember(approval, decision, acting)
    return find_approval(approval_id, acting)


def locked(approval_id: str, acting: Acting) -> Approval:
    """The approval while nobody else can answer it: the log's own lock is the session's row."""
    session_id = find_approval(approval_id, acting).session_id
    session = lock_session(session_id, acting)
    approval = find_approval(approval_id, acting)
    if approval.state != WAITING:
        raise Conflict(answered(approval), error_code="approval_answered")
    approval.session = session
    return approval


def _event(approval: Approval, decision: Mapping[str, Any]) -> dict[str, Any]:
    message = (decision.get("message") or "").strip()
    if len(message) > MAX_MESSAGE:
        raise InvalidRequest(f"message: must be at most {MAX_MESSAGE} characters long")
    event = {"type": ev.USER_TOOL_CONFIRMATION, "tool_use_id": approval.pk, "result": decision["result"]}
    return event | ({"deny_message": message} if message and decision["result"] == "deny" else {})


def _remember(approval: Approval, decision: Mapping[str, Any], acting: Acting) -> None:
    if decision["result"] != "allow":
        raise InvalidRequest("remember: Only what is allowed can be remembered; deny for good with a rule.")
    given = decision.get("input") or call_input(approval)
    try:
        remembering.remember(approval, approval.session, given, decision["remember"], acting)
    except ValidationError as error:
        raise InvalidRequest(f"remember.rule: {error.errors()[0]['msg']}") from None


def call_input(approval: Approval) -> dict[str, Any]:
    """The input that the agent called with."""
    found: dict[str, Any] = Event.objects.only("payload").get(pk=approval.pk).payload["input"]
    return found


def decide_many(ids: Sequence[str], decision: Mapping[str, Any], acting: Acting, *, via: str) -> list[Outcome]:
    """Answer several calls alike, each for itself: one that fails doesn't keep the others."""
    acting.require(Permission.OPERATE)
    if not 1 <= len(ids) <= MAX_MANY:
        raise InvalidRequest(f"ids: name 1 to {MAX_MANY} approvals")
    if decision.get("input"):
        raise InvalidRequest("input: Calls can be changed one at a time only.")
    outcomes = []
    for approval_id in dict.fromkeys(ids):
        try:
            outcomes.append(Outcome(approval_id, decide(approval_id, decision, acting, via=via), None))
        except ApiError as error:
            outcomes.append(Outcome(approval_id, None, error))
    return outcomes


@audit.logged("approval.assigned", "agent_sessions.Approval", "approval_id", within="session")
def assign(approval_id: str, username: str | None, acting: Acting) -> Approval:
    """Pass a waiting call to a member who may decide it; None gives it back to everybody."""
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        approval = locked(approval_id, acting)
        user_id = _member(username, acting) if username else None
        Approval.objects.filter(pk=approval.pk).update(assigned_to_id=user_id)
        told = {"tool_use_id": approval.pk, "to": username or None, "by": acting.label}
        log.append(approval.session_id, approval.thread_id, [Draft(ev.OPS_ASSIGNED, told)])
    return find_approval(approval_id, acting)


def _member(username: str, acting: Acting) -> int:
    members = Membership.objects.filter(workspace_id=acting.workspace_id, user__is_active=True)
    found = members.filter(user__username=username).first()
    if found is None:
        raise InvalidRequest(f"assignee: {username} is no member of this workspace.")
    if not may(found.role, Permission.OPERATE):
        raise PermissionDenied(f"{username} may only read here and can't decide.")
    user_id: int = found.user_id
    return user_id
