"""What may be answered by whom, checked for every way in: the page, our API, and the SDK's own events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents import policies
from agents.rules import Request
from agents.tools import registry as tools
from agents.trying import grant_for
from contract.errors import InvalidRequest, PermissionDenied
from contract.times import timestamp
from sessions import permissions
from sessions.models.approvals import STATES, WAITING, Approval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contract.acting import Acting
    from sessions.models import Session

OWN = "The rule that asks forbids whoever started the session to approve; somebody else must decide."


@dataclass(frozen=True, slots=True)
class Aside:
    """What comes with an answer besides the wire's fields.

    ``via``: page, api, events or expiry. ``edited``: the input to run instead. ``shown``: what the page or
    the API showed whoever decided.
    """

    via: str = "events"
    edited: Mapping[str, Any] | None = None
    shown: Mapping[str, Any] | None = None


PLAIN = Aside()


def is_own(approval: Approval, session: Session, acting: Acting) -> bool:
    """Whether the rule that asks forbids this person or key to approve."""
    if (approval.why.get("rule") or {}).get("self_approval", True):
        return False
    same_person = acting.user_id is not None and acting.user_id == session.created_by_id
    same_key = acting.api_key_id is not None and acting.api_key_id == session.created_by_key
    return same_person or same_key


def check(approval: Approval, session: Session, acting: Acting, result: str, aside: Aside) -> None:
    """Raises ``PermissionDenied`` for an approval of one's own where that is forbidden, ``InvalidRequest`` for
    an edited input that doesn't fit the tool or that a rule denies.
    """
    if result == "allow" and is_own(approval, session, acting):
        raise PermissionDenied(OWN)
    if aside.edited is None:
        return
    if result != "allow":
        raise InvalidRequest("input: Only a call that is allowed can be changed.")
    if not approval.mcp_server and (fault := tools.check_input(approval.tool, aside.edited)):
        raise InvalidRequest(f"input: {fault}")
    request = Request(approval.tool, aside.edited, approval.mcp_server or None)
    verdict = policies.judge(request, grant_for(request, session.agent_snapshot), permissions.rulebook(session))
    if verdict.evaluated_permission == "deny":
        reason = policies.reason(approval.tool, verdict.why)
        raise InvalidRequest(f"input: The changed call is refused: {reason}.")


def answered(approval: Approval) -> str:
    """Who answered, what and when; empty while the call waits."""
    if approval.state == WAITING:
        return ""
    when = f" at {timestamp(approval.decided_at)}" if approval.decided_at else ""
    who = f" by {approval.decided_label}" if approval.decided_label else ""
    return f"{approval.pk} has already been answered: {STATES[approval.state].lower()}{who}{when}."
