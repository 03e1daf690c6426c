"""What an agent's tools may do, for people: the built-in tools by name, and the matrix of permissions.

A row says what becomes of a call of a tool as it will be evaluated: the first rule that is about every such call, else
the tool's policy; before it, the rules that are about some of them. Beside it where the call may reach, and with what.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents import policies, rules
from agents.mcp.tools import TOOLSET_TYPE as MCP_TOOLSET_TYPE
from agents.policies import CUSTOM_TYPE, TOOLSET_TYPE
from agents.rules import Request, Rule
from agents.tools.registry import TOOLSET as TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PERMISSIONS = (
    ("always_allow", _("Allow")),
    ("auto", _("Judge each call")),
    ("always_ask", _("Ask a person")),
    ("off", _("Off")),
)
BUILT_IN = {
    "bash": _("Runs commands in the sandbox's shell."),
    "read": _("Reads files, images and PDFs."),
    "write": _("Creates or replaces files."),
    "edit": _("Replaces text in files."),
    "glob": _("Finds files by name."),
    "grep": _("Searches in files."),
    "web_fetch": _("Reads a public web page or file; the server fetches it."),
    "web_search": _("Searches the web."),
}
DECISIONS = ("allow", "ask", "deny", "judge")
EFFECTS = {"always_allow": "allow", "always_ask": "ask", "auto": "judge", "off": "deny"}
CONDITIONS = ("command_prefix", "command", "path", "host")


class Secret(NamedTuple):
    """A credential as the matrix names it: ``server`` is the address it is for, or its ``variable`` and hosts."""

    id: str
    name: str
    server: str = ""
    variable: str = ""
    hosts: str = ""


@dataclass(frozen=True, slots=True)
class Exceptional:
    """A rule that is about some calls of a tool only. ``index`` counts from 1."""

    index: int
    effect: str
    words: str


@dataclass(frozen=True, slots=True)
class Row:
    """One tool. ``decision`` is one of ``DECISIONS``, or "" where the agent's client answers."""

    tool: str
    server: str
    about: str
    decision: str
    because: str
    exceptions: list[Exceptional] = field(default_factory=list)
    hosts: str = ""
    secrets: list[Secret] = field(default_factory=list)


def matrix(spec: Mapping[str, Any], secrets: Sequence[Secret] = ()) -> list[Row]:
    """Every tool the agent has, in the order of its ``tools``; ``secrets`` are those its sessions could be given."""
    book = policies.rulebook(spec).agent
    found: list[Row] = []
    for tool in spec["tools"]:
        if tool["type"] == TOOLSET_TYPE:
            found += [_built_in(name, tool, book, secrets) for name in BUILT_IN]
        elif tool["type"] == CUSTOM_TYPE:
            found.append(Row(tool["name"], "", tool["description"], "", gettext("Its client or a person answers")))
        elif tool["type"] == MCP_TOOLSET_TYPE:
            found += _served(tool, spec["mcp_servers"], book, secrets)
    return found


def _built_in(name: str, toolset: Mapping[str, Any], book: Sequence[Rule], secrets: Iterable[Secret]) -> Row:
    missing = TOOLS[name].not_offered()
    policy = "off" if missing else permission_of(name, toolset)
    decision, because, exceptions = _decided(name, None, policy, book)
    variables = [one for one in secrets if one.variable] if name == "bash" and decision != "deny" else []
    hosts = _hosts(name, toolset) if decision != "deny" or exceptions else ""
    return Row(name, "", str(BUILT_IN[name]), decision, missing or because, exceptions, hosts, variables)


def _served(
    tool: Mapping[str, Any], servers: Iterable[Mapping[str, Any]], book: Sequence[Rule], secrets: Iterable[Secret]
) -> list[Row]:
    """An MCP server's tools, as far as they are known without asking it: those named, then all the others."""
    server, default = str(tool["mcp_server_name"]), tool["default_config"]
    url = next((str(one["url"]) for one in servers if one["name"] == server), "")
    keys = [one for one in secrets if one.server and one.server == url.rstrip("/")]
    host = urlsplit(url).hostname or ""
    found = []
    for config in (*tool["configs"], default | {"name": "*"}):
        policy = config["permission_policy"]["type"] if config["enabled"] else "off"
        decision, because, exceptions = _decided(config["name"], server, policy, book)
        last = config["name"] == "*"
        name = (gettext("all others") if tool["configs"] else gettext("all tools")) if last else config["name"]
        about = gettext("From the MCP server %(server)s.") % {"server": server}
        found.append(Row(name, server, about, decision, because, exceptions, host, keys))
    return found


def _decided(name: str, server: str | None, policy: str, book: Sequence[Rule]) -> tuple[str, str, list[Exceptional]]:
    """What becomes of a call of a tool, what says so, and the rules before it that are about some of its calls."""
    if policy == "off":
        return "deny", gettext("The agent doesn't have it"), []
    exceptions: list[Exceptional] = []
    for number, rule in enumerate(book, start=1):
        if not rules.about_tool(rule, Request(name, {}, server)):
            continue
        whole = name != "*" or rule.tool in (None, "*")
        if whole and all(getattr(rule, condition) is None for condition in CONDITIONS):
            return rule.effect, gettext("Rule %(number)s") % {"number": number}, exceptions
        exceptions.append(Exceptional(number, rule.effect, rules.words(rule.stored())))
    return EFFECTS[policy], gettext("Its policy"), exceptions


def _hosts(name: str, toolset: Mapping[str, Any]) -> str:
    """Where a built-in tool may reach, as far as the agent says."""
    config: Mapping[str, Any] = next((one for one in toolset["configs"] if one["name"] == name), {})
    if name == "bash":
        return gettext("What the environment allows")
    if name not in ("web_fetch", "web_search"):
        return ""
    if config.get("allowed_domains"):
        return ", ".join(config["allowed_domains"])
    if config.get("blocked_domains"):
        return gettext("All public ones but %(hosts)s") % {"hosts": ", ".join(config["blocked_domains"])}
    return gettext("All public ones")


def permission_of(name: str, toolset: Mapping[str, Any] | None) -> str:
    """What a toolset says about a tool: ``always_allow``, ``auto``, ``always_ask`` or ``off``."""
    if toolset is None:
        return "off"
    own: Mapping[str, Any] = next((config for config in toolset.get("configs", ()) if config["name"] == name), {})
    merged = {**toolset["default_config"], **own}
    return str(merged["permission_policy"]["type"]) if merged["enabled"] else "off"
