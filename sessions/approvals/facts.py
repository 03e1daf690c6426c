"""What a waiting call would reach, with which credential, at what cost, and what came before it: for every surface.

Of a command in the sandbox only what it names itself can be told: hosts of its URLs and variables by their names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agents.templatetags.calls import view_of
from agents.trying import MAIN_ARGUMENT
from contract.phrases import Told
from credentials import lending, matching, scopes
from credentials.lending import Borrower
from sessions import events as ev
from sessions.models import Event, Resource
from sessions.projections import transcript
from sessions.projections.columns import budget_dollars

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from decimal import Decimal

    from credentials.models import Credential
    from sessions.models import Session
    from sessions.models.approvals import Approval

BEFORE = 3
LINE = 200
LISTED = 20
COMMAND = 20_000  # characters of a command that are looked at
URL = re.compile(r"\b(?:https?|ssh|git|wss?|ftp)://[^\s'\"<>|;)]+", re.IGNORECASE)
GIT = re.compile(r"\bgit\b")
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
class Lent:
    """A secret that the call would use, by name: a credential of a vault, or the token of a repository."""

    id: str
    type: str  # "credential", "github_repository"
    name: str
    rule: str  # the scope that permits it

    def shape(self) -> dict[str, str]:
        return {"id": self.id, "type": self.type, "name": self.name, "rule": self.rule}


@dataclass(frozen=True, slots=True)
class Facts:
    """``given`` is the call's input. ``left``: dollars left of the session's budget, None without one."""

    given: dict[str, Any]
    hosts: tuple[str, ...]
    credentials: tuple[Lent, ...]
    left: Decimal | None
    before: tuple[Line, ...]


def facts(approvals: Sequence[Approval], *, before: bool = True) -> dict[str, Facts]:
    """By approval, their sessions loaded. A few queries for all of them."""
    ids = [approval.pk for approval in approvals]
    if not ids:
        return {}
    calls = Event.objects.only("payload").in_bulk(ids)
    rows = lending.of_vaults({vault for approval in approvals for vault in approval.session.vault_ids or ()})
    inputs: dict[str, dict[str, Any]] = {key: call.payload["input"] for key, call in calls.items()}
    tokens = _tokens({one.session_id for one in approvals if GIT.search(_command(one, inputs[one.pk]))})
    earlier = _before(ids) if before else {}
    found = {}
    for approval in approvals:
        given = inputs[approval.pk]
        hosts = tuple(_hosts(approval, given))
        lent = tuple(_lent(approval, given, rows, tokens.get(approval.session_id, ())))
        found[approval.pk] = Facts(given, hosts, lent, _left(approval.session), tuple(earlier.get(approval.pk, ())))
    return found


def server_url(approval: Approval) -> str:
    """The address of the MCP server whose tool is called; "" if it is another tool."""
    servers = approval.session.agent_snapshot.get("mcp_servers") or ()
    return next((str(one["url"]) for one in servers if one["name"] == approval.mcp_server), "")


def _hosts(approval: Approval, given: Mapping[str, Any]) -> list[str]:
    if approval.mcp_server:
        urls = [server_url(approval)]
    elif command := _command(approval, given):
        urls = URL.findall(command)
    else:
        urls = [given["url"]] if isinstance(given.get("url"), str) else []
    return list(dict.fromkeys(filter(None, map(_host, urls))))[:LISTED]


def _command(approval: Approval, given: Mapping[str, Any]) -> str:
    """What is looked at of a command in the sandbox; "" for any other call."""
    return str(given.get("command", ""))[:COMMAND] if approval.tool == "bash" and not approval.mcp_server else ""


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _lent(
    approval: Approval, given: Mapping[str, Any], rows: Iterable[Credential], tokens: Sequence[Lent]
) -> list[Lent]:
    session = approval.session
    borrower = Borrower(session.workspace_id, session.vault_ids or [], session.agent_id, session.pk)
    if approval.mcp_server:
        try:
            found = lending.for_server(borrower, server_url(approval), approval.tool, rows)
        except matching.BadUrl:
            return []
        return [_credential(found)] if found else []
    command = _command(approval, given)
    if not command:
        return []
    words = set(re.findall(r"\w+", command))
    held = lending.held(borrower, approval.tool, rows)
    lent = [_credential(row) for name, row in held.items() if name in words]
    return [*lent, *(tokens if GIT.search(command) else ())][:LISTED]


def _credential(row: Credential) -> Lent:
    return Lent(row.pk, "credential", str(row), scopes.described(row.scope))


def _tokens(session_ids: Collection[str]) -> dict[str, list[Lent]]:
    """The tokens of these sessions' repositories, by session."""
    found: dict[str, list[Lent]] = {}
    rows = Resource.objects.filter(session__in=session_ids, kind="github_repository").exclude(sealed=b"")
    for row in rows.defer("sealed"):
        lent = Lent(row.pk, row.kind, str(row.details.get("url", "")), "scope: this repository")
        found.setdefault(row.session_id, []).append(lent)
    return found


def _left(session: Session) -> Decimal | None:
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
        return Line("agent", Told("%(call)s %(main)s", call=view.headline, main=main[:LINE]) if main else view.headline)
    text, _ = transcript.content(body.get("content") or ())
    return Line("person" if event_type == ev.USER_MESSAGE else "agent", " ".join(text.split())[:LINE])
