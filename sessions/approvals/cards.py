"""What a person sees of a call that waits: the call, why it asks, what it would use and cost, what came before."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext

from agents import policies, rules
from agents.models import Membership
from agents.templatetags.calls import CallView, view_of
from agents.trying import MAIN_ARGUMENT
from contract.roles import GRANTS, Permission, may
from sessions.approvals.answers import OWN, is_own
from sessions.approvals.facts import facts
from sessions.approvals.remembering import suggested
from sessions.models.approvals import WAITING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contract.acting import Acting
    from sessions.approvals.facts import Facts
    from sessions.models.approvals import Approval

LISTED_MEMBERS = 200


@dataclass(frozen=True, slots=True)
class Card:
    """An approval with everything its page shows.

    ``argument`` is the main argument's name and ``text`` its text, for changing it; without one the text is JSON.
    ``obstacle`` says why the reader may not approve; "" if they may.
    """

    approval: Approval
    view: CallView
    facts: Facts
    argument: str
    text: str
    reason: str
    obstacle: str
    remembers: str
    may_remember_agent: bool

    @property
    def waiting(self) -> bool:
        return self.approval.state == WAITING

    def shown(self) -> dict[str, Any]:
        """What is kept of the card as the record of what whoever decided saw."""
        return {
            "headline": self.view.headline,
            "input": self.facts.given,
            "reason": self.reason,
            "hosts": list(self.facts.hosts),
            "credentials": [lent.shape() for lent in self.facts.credentials],
            "spent": f"{self.approval.session.cost:f}",
            "left": f"{self.facts.left:f}" if self.facts.left is not None else None,
            "seq": self.approval.session.last_seq,
        }


def around(acting: Acting) -> dict[str, Any]:
    """What every card needs besides itself: whether the reader may decide, and whom they may pass it to."""
    return {"operates": may(acting.role, Permission.OPERATE), "members": members(acting.workspace_id)}


def members(workspace_id: str) -> list[str]:
    """Names of those who may decide."""
    able = [role.value for role, granted in GRANTS.items() if Permission.OPERATE in granted]
    rows = Membership.objects.filter(workspace_id=workspace_id, role__in=able, user__is_active=True)
    return list(rows.order_by("user__username").values_list("user__username", flat=True)[:LISTED_MEMBERS])


def cards(approvals: Sequence[Approval], acting: Acting) -> list[Card]:
    """Cards of approvals with their sessions loaded."""
    known = facts(approvals)
    return [_card(approval, known[approval.pk], acting) for approval in approvals]


def _card(approval: Approval, known: Facts, acting: Acting) -> Card:
    given = approval.edited_input or known.given  # once changed, the card shows what ran
    argument = MAIN_ARGUMENT.get(approval.tool, "") if set(given) == {MAIN_ARGUMENT.get(approval.tool)} else ""
    rule = suggested(approval.tool, given, approval.mcp_server)
    forbids = (approval.why.get("rule") or {}).get("self_approval") is False
    return Card(
        approval=approval,
        view=view_of(approval.tool, given),
        facts=known,
        argument=argument,
        text=given[argument] if argument and isinstance(given[argument], str) else _json(given),
        reason=_reason(approval),
        obstacle=_obstacle(approval, acting),
        remembers=rules.words(rule) if rule and not forbids else "",
        may_remember_agent=may(acting.role, Permission.BUILD),
    )


def _json(given: dict[str, Any]) -> str:
    return json.dumps(given, indent=2, ensure_ascii=False)


def _reason(approval: Approval) -> str:
    text = policies.reason(approval.tool, approval.why)
    return text[:1].upper() + text[1:]


def _obstacle(approval: Approval, acting: Acting) -> str:
    if not may(acting.role, Permission.OPERATE):
        return gettext("Deciding needs the operator role.")
    return OWN if is_own(approval, approval.session, acting) else ""
