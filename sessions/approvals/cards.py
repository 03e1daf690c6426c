"""What a person sees of a call that waits: the call, why it asks, what it would use and cost, what came before."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agents import policies, rules
from agents.models import Membership
from agents.templatetags.calls import CallView, view_of
from agents.trying import MAIN_ARGUMENT
from contract.roles import GRANTS, Permission, may
from sessions import events as ev
from sessions.approvals.answers import OWN, is_own
from sessions.approvals.remembering import suggested
from sessions.models import Event
from sessions.projections import transcript
from sessions.projections.columns import budget_dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal

    from contract.acting import Acting
    from sessions.models.approvals import Approval

BEFORE = 3
LINE = 200
LISTED_MEMBERS = 200
BEFORE_TYPES = [ev.USER_MESSAGE, ev.AGENT_MESSAGE, ev.TOOL_USE, ev.MCP_TOOL_USE, ev.CUSTOM_TOOL_USE]
EARLIER = """
SELECT a.id AS asked, e.id, e.type, e.payload FROM agent_sessions_approval a CROSS JOIN LATERAL (
  SELECT id, seq, type, payload FROM agent_sessions_event
  WHERE thread_id = a.thread_id AND seq < a.seq AND type = ANY(%s) ORDER BY seq DESC LIMIT %s) e
WHERE a.id = ANY(%s) ORDER BY a.id, e.seq
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened before: ``who`` person or agent, and the start of what it was."""

    who: str
    text: str


@dataclass(frozen=True, slots=True)
class Card:
    """An approval with everything its page shows.

    ``argument`` is the main argument's name and ``text`` its text, for changing it; without one the text is JSON.
    ``obstacle`` says why the reader may not approve; "" if they may.
    """

    approval: Approval
    view: CallView
    given: dict[str, Any]
    argument: str
    text: str
    reason: str
    host: str
    left: Decimal | None
    before: tuple[Line, ...]
    obstacle: str
    remembers: str
    may_remember_agent: bool

    @property
    def waiting(self) -> bool:
        return self.approval.state == "waiting"

    def shown(self) -> dict[str, Any]:
        """What is kept of the card as the record of what whoever decided saw."""
        return {
            "headline": self.view.headline,
            "input": self.given,
            "reason": self.reason,
            "host": self.host or None,
            "spent": str(self.approval.session.cost),
            "left": str(self.left) if self.left is not None else None,
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
    """Cards of approvals with their sessions loaded. Three queries for all of them."""
    ids = [approval.pk for approval in approvals]
    if not ids:
        return []
    calls = Event.objects.only("payload").in_bulk(ids)
    before = _before(ids)
    return [
        _card(approval, calls[approval.pk].payload["input"], before.get(approval.pk, []), acting)
        for approval in approvals
    ]


def _card(approval: Approval, given: dict[str, Any], before: list[Line], acting: Acting) -> Card:
    argument = MAIN_ARGUMENT.get(approval.tool, "") if set(given) == {MAIN_ARGUMENT.get(approval.tool)} else ""
    rule = suggested(approval.tool, given, approval.mcp_server)
    forbids = (approval.why.get("rule") or {}).get("self_approval") is False
    return Card(
        approval=approval,
        view=view_of(approval.tool, given),
        given=given,
        argument=argument,
        text=given[argument] if argument and isinstance(given[argument], str) else _json(given),
        reason=_reason(approval),
        host=_host(approval, given),
        left=_left(approval),
        before=tuple(before),
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
        return "Deciding needs the operator role."
    return OWN if is_own(approval, approval.session, acting) else ""


def _host(approval: Approval, given: dict[str, Any]) -> str:
    """The host that the call reaches, where it says so itself."""
    url = given.get("url")
    if approval.mcp_server:
        servers = approval.session.agent_snapshot.get("mcp_servers") or ()
        url = next((server["url"] for server in servers if server["name"] == approval.mcp_server), None)
    try:
        return urlsplit(url).hostname or "" if isinstance(url, str) else ""
    except ValueError:
        return ""


def _left(approval: Approval) -> Decimal | None:
    """Dollars left of the session's own budget; None without one."""
    session = approval.session
    limit = budget_dollars(session.budget)
    return None if limit is None or not session.cost_known else max(limit - session.cost, limit * 0)


def _before(ids: Sequence[str]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    rows: Iterable[Any] = Event.objects.raw(EARLIER, [BEFORE_TYPES, BEFORE, list(ids)])
    for entry in rows:
        found.setdefault(entry.asked, []).append(_line(entry.type, entry.payload))
    return found


def _line(event_type: str, body: Mapping[str, Any]) -> Line:
    if event_type in ev.CALLS:
        view = view_of(str(body.get("name", "")), body.get("input") or {})
        argument = MAIN_ARGUMENT.get(str(body.get("name")), "")
        main = str((body.get("input") or {}).get(argument, "")) if argument in ("command", "pattern") else ""
        return Line("agent", f"{view.headline} {main}".strip()[:LINE])
    text, _ = transcript.content(body.get("content") or ())
    return Line("person" if event_type == ev.USER_MESSAGE else "agent", " ".join(text.split())[:LINE])
