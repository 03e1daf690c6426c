"""Answering calls like this one beforehand: the rule that is suggested, and where it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agents import rules
from agents.actions import find_agent, update_agent
from agents.commands import UNKNOWN, Unclear, commands
from agents.rules import PATH_FIELDS, Request, Rule
from contract.errors import InvalidRequest
from contract.roles import Permission
from contract.schema import OURS
from sessions import permissions
from sessions.actions import change_rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contract.acting import Acting
    from sessions.models import Session
    from sessions.models.approvals import Approval

SESSION, AGENT = "session", "agent"
# Programs whose second word says what they do.
WITH_VERBS = frozenset(
    {"git", "npm", "pnpm", "yarn", "pip", "uv", "cargo", "go", "make", "docker", "kubectl", "poetry"}
)


def suggested(tool: str, given: Mapping[str, Any], server: str = "") -> dict[str, Any] | None:
    """The narrowest rule that allows calls like this one; None if no rule could tell them apart safely."""
    rule: dict[str, Any] = {"effect": "allow", "tool": tool}
    if server:
        return rule | {"mcp_server": server}
    if tool == rules.SHELL:
        prefix = _prefix(given.get("command"))
        return rule | {"command_prefix": prefix} if prefix else None
    if field := PATH_FIELDS.get(tool):
        path = given.get(field)
        return rule | {"path": rules.absolute(path)} if isinstance(path, str) and path else None
    url = given.get("url")
    if isinstance(url, str):
        host = urlsplit(url).hostname
        return rule | {"host": host} if host else None
    return rule


def _prefix(script: object) -> str:
    """The words that a rule would start with: a program and its verb, else the whole command."""
    try:
        found = commands(script) if isinstance(script, str) else []
    except Unclear:
        return ""
    if len(found) != 1 or not found[0].plain or not found[0].words:
        return ""
    words = found[0].words
    kept = words[:2] if words[0] in WITH_VERBS and len(words) > 1 and not words[1].startswith("-") else words
    whole = all(word and UNKNOWN not in word and len(word.split()) == 1 for word in kept)
    return " ".join(kept) if whole else ""


def remember(
    approval: Approval, session: Session, given: Mapping[str, Any], wanted: Mapping[str, Any], acting: Acting
) -> None:
    """Keep a rule that allows calls like this one, for the (locked) session or for its agent too.

    ``wanted``: ``scope`` session or agent, and ``rule`` unless the suggested one is meant.
    """
    rule = wanted.get("rule") or suggested(approval.tool, given, approval.mcp_server)
    if rule is None:
        raise InvalidRequest("remember: No rule tells calls like this one apart safely; give one under rule.")
    checked = Rule.model_validate(rule)
    request = Request(approval.tool, given, approval.mcp_server or None)
    match = rules.find([checked], request)
    if checked.effect != "allow" or match is None:
        raise InvalidRequest("remember.rule: must allow the very call that is decided")
    if (approval.why.get("rule") or {}).get("self_approval") is False:
        raise InvalidRequest("remember: The rule that asks forbids self-approval, so it asks each time.")
    stored = checked.stored()
    if wanted["scope"] == AGENT:
        acting.require(Permission.BUILD)
        _for_agent(approval, stored, acting)
    fields = permissions.remembered(session, stored)
    if fields:
        change_rules(session, fields, acting)


def _for_agent(approval: Approval, rule: dict[str, Any], acting: Acting) -> None:
    """A new version of the agent: the rule stands right before the one that asked, else at the end."""
    version = find_agent(approval.agent_id, acting)
    own: list[dict[str, Any]] = list((version.spec.get(OURS) or {}).get("permission_rules") or [])
    if rule in own:
        return
    asked = approval.why.get("rule") if approval.why.get("source") == "rule" else None
    place = own.index(asked) if asked in own else len(own)
    own.insert(place, rule)
    update_agent(approval.agent_id, {OURS: {"permission_rules": own}}, acting)
