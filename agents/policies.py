"""Which tools an agent may use, and whether a call needs a person first (spec core 5). Pure.

Works on the resolved ``tools`` array of an agent snapshot, where every toolset carries its
``default_config`` and its ``configs``, and on the ordered rules beside it (``agents.rules``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from agents import rules
from agents.stored_rules import readable
from contract.schema import OURS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from agents.mcp.tools import McpTool
    from agents.rules import Found, Request, Rule
    from agents.tools.coordination import TeamTool

TOOLSET_TYPE = "agent_toolset_20260401"
CUSTOM_TYPE = "custom"
RULES = "permission_rules"


@dataclass(frozen=True, slots=True)
class Grant:
    """A tool the agent may name. ``policy`` is None for custom tools: their client decides.

    ``team``: the coordination tool that it is; those have no policy.
    ``config``: the resolved entry of a built-in tool. ``mcp``: the MCP server's tool that the model knows as ``name``.
    """

    name: str
    policy: str | None
    custom: Mapping[str, Any] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    mcp: McpTool | None = None
    team: TeamTool | None = None


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the judge of the policy ``auto`` says: ``reason_code`` explains all but allow (spec core 5.3)."""

    effect: Literal["allow", "ask", "deny"]
    reason_code: str = ""
    why: str = ""


Judge = Callable[["Request"], Opinion]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a call was judged, in the fields of ``agent.tool_use`` (spec core 5.3).

    ``evaluation`` is None when the call was refused before any policy applied. ``why`` says what decided:
    ``source`` (``policy``, ``rule``, ``session_rule``, ``remembered``, ``not_enabled``), and the rule with its place.
    """

    evaluated_permission: str
    evaluation: Mapping[str, Any] | None
    why: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules of one session, in three layers that each decide by their first match.

    ``agent``: the agent's own. ``session``: tighten these, whatever they say they never loosen them.
    ``remembered``: what a person allowed beforehand; they answer what would be asked, nothing else.
    """

    agent: Sequence[Rule] = ()
    session: Sequence[Rule] = ()
    remembered: Sequence[Rule] = ()


NO_RULES = Rulebook()
NOT_ENABLED = Verdict("deny", None, {"source": "not_enabled"})
STRICTNESS = {"allow": 0, "ask": 1, "deny": 2}


def grants(tools: Sequence[Mapping[str, Any]], known: Collection[str]) -> dict[str, Grant]:
    """The tools an agent may use, by name, in a stable order; ``known`` names the built-in ones."""
    found: dict[str, Grant] = {}
    for tool in tools:
        if tool["type"] == TOOLSET_TYPE:
            found.update(_toolset(tool, known))
        elif tool["type"] == CUSTOM_TYPE:
            found[tool["name"]] = Grant(tool["name"], None, tool)
    return found


def _toolset(tool: Mapping[str, Any], known: Collection[str]) -> dict[str, Grant]:
    default = tool["default_config"]
    configs = {config["name"]: config for config in tool.get("configs", ())}
    found = {}
    for name in known:
        config = {**default, **configs.get(name, {})}
        if config["enabled"]:
            found[name] = Grant(name, config["permission_policy"]["type"], config=config)
    return found


def rulebook(agent: Mapping[str, Any]) -> Rulebook:
    """The rules of an agent's spec or snapshot."""
    return Rulebook(readable((agent.get(OURS) or {}).get(RULES) or ()))


def with_session(book: Rulebook, session: Sequence[Any], remembered: Sequence[Any]) -> Rulebook:
    """An agent's rules with a session's own on top (both as stored)."""
    return Rulebook(book.agent, readable(session), readable(remembered))


def judge(request: Request, grant: Grant | None, book: Rulebook = NO_RULES, auto: Judge | None = None) -> Verdict:
    """Judge a call: the agent's rules, else the tool's policy; then what the session tightened or remembered.

    ``auto`` is asked where the policy is ``auto`` and no rule decides. A tool that was not granted is denied.
    """
    if grant is None:
        return NOT_ENABLED
    own, tightened = rules.find(book.agent, request), rules.find(book.session, request)
    if tightened is not None and tightened.effect == "deny":
        return _by_rule("session_rule", tightened)
    verdict = _by_rule("rule", own) if own is not None else _by_policy(request, grant, auto)
    if tightened is not None and STRICTNESS[tightened.effect] > STRICTNESS[verdict.evaluated_permission]:
        verdict = _by_rule("session_rule", tightened)
    if verdict.evaluated_permission == "ask" and verdict.why.get("rule", {}).get("self_approval", True):
        answered = rules.find(book.remembered, request)
        if answered is not None and answered.effect == "allow":
            return _by_rule("remembered", answered)
    return verdict


def _by_rule(source: str, found: Found) -> Verdict:
    why = {"source": source, "index": found.index, "rule": found.rule.stored()}
    if found.unsure:
        why["unsure"] = True
    evaluation = None if found.effect == "deny" else {"type": f"always_{found.effect}"}
    return Verdict(found.effect, evaluation, why)


def _by_policy(request: Request, grant: Grant, auto: Judge | None) -> Verdict:
    why = {"source": "policy", "policy": grant.policy}
    if grant.policy != "auto":
        effect = "ask" if grant.policy == "always_ask" else "allow"
        return Verdict(effect, {"type": f"always_{effect}"}, why)
    opinion = auto(request) if auto is not None else Opinion("ask", "indeterminate", "No judge is set up.")
    said = {"type": opinion.effect} | ({"reason_code": opinion.reason_code} if opinion.effect != "allow" else {})
    evaluation = {"type": "auto", "evaluated_permission": said}
    return Verdict(opinion.effect, evaluation, why | ({"reason": opinion.why} if opinion.why else {}))


def refusal(tool_name: str, why: Mapping[str, Any] | None = None) -> str:
    """The text of the error result of a denied call (spec core 5.3), with the rule's note if it has one."""
    note = ((why or {}).get("rule") or {}).get("note")
    text = f"Permission to use {tool_name} has been denied."
    return f"{text} {note}" if note else text


def sentence(tool_name: str, verdict: Verdict) -> str:
    """What was decided and what decided it, for people."""
    does = {"allow": "runs without asking", "ask": "waits for a person", "deny": "is refused"}
    return f"A call of {tool_name} like this {does[verdict.evaluated_permission]}: {reason(tool_name, verdict.why)}."


def reason(tool_name: str, why: Mapping[str, Any]) -> str:
    """What decided, as half a sentence."""
    place = int(why.get("index", 0)) + 1
    sources = {
        "rule": f"rule {place} of the agent says so",
        "session_rule": f"rule {place} that tightens this session says so",
        "remembered": f"a person allowed it beforehand (remembered rule {place})",
        "not_enabled": f"the agent doesn't have the tool {tool_name}",
        "policy": f"no rule matches, and the policy of {tool_name} is {why.get('policy')}",
    }
    text = sources.get(str(why.get("source")), f"the policy of {tool_name}")
    if why.get("unsure"):
        text = f"it isn't clear whether rule {place} matches, so a person is asked"
    return f"{text} ({why['reason']})" if why.get("reason") else text
