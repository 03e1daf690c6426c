"""The policy tester: what would become of a call, and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

from agents import judges, policies
from agents.mcp.tools import toolsets
from agents.policies import Grant, Rulebook, Verdict
from agents.rules import Request
from agents.tools import registry as tools
from contract.schema import OURS

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a person types for a built-in tool, where it is not JSON.
MAIN_ARGUMENT = {
    "bash": "command",
    "read": "file_path",
    "write": "file_path",
    "edit": "file_path",
    "glob": "pattern",
    "grep": "pattern",
    "web_fetch": "url",
    "web_search": "query",
}


def try_call(request: Request, agent: Mapping[str, Any], book: Rulebook | None = None) -> Verdict:
    """The verdict on a call of an agent's spec or snapshot; with ``book``, by a session's rules.

    ``auto`` is judged by its fixed rules; no model is asked and nothing is run.
    """
    rules = book if book is not None else policies.rulebook(agent)
    return policies.judge(request, grant_for(request, agent), rules, judges.by_rules)


def grant_for(request: Request, agent: Mapping[str, Any]) -> Grant | None:
    """The grant of a built-in tool, or of a tool that an MCP server may have; None if it isn't enabled."""
    if request.mcp_server is None:
        return policies.grants(agent["tools"], tools.offered()).get(request.tool)
    toolset = toolsets(agent["tools"]).get(request.mcp_server)
    if toolset is None:
        return None
    configs = {config["name"]: config for config in toolset.get("configs", ())}
    config = {**toolset["default_config"], **configs.get(request.tool, {})}
    return Grant(request.tool, config["permission_policy"]["type"]) if config["enabled"] else None


def tried(form: CallForm, spec: Mapping[str, Any]) -> dict[str, Any]:
    """What a page of the tester shows: the agent's rules, and the verdict once a call was sent."""
    own = (spec.get(OURS) or {}).get(policies.RULES) or []
    context: dict[str, Any] = {"rules": own, "matched": -1}
    if form.is_bound and form.is_valid():
        call = form.call()
        verdict = try_call(call, spec)
        context |= {"verdict": verdict, "sentence": policies.sentence(call.tool, verdict)}
        context["matched"] = verdict.why["index"] if verdict.why["source"] == "rule" else -1
    return context


class CallForm(forms.Form):
    """A call to try. The argument is what the tool is mainly about, or its whole input as JSON."""

    tool = forms.CharField(
        label=_("Tool"), max_length=256, widget=forms.TextInput(attrs={"list": "tools", "autocomplete": "off"})
    )
    mcp_server = forms.CharField(
        label=_("MCP server"), max_length=256, required=False, help_text=_("Empty for built-in tools.")
    )
    argument = forms.CharField(
        label=_("Argument"),
        required=False,
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 3, "class": "source", "spellcheck": "false"}),
        help_text=_("A command, a path or an address; or the whole input as a JSON object."),
    )

    tools = tuple(MAIN_ARGUMENT)

    def call(self) -> Request:
        data = self.cleaned_data
        return Request(data["tool"], _input(data["tool"], data["argument"]), data["mcp_server"] or None)


def _input(tool: str, text: str) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if isinstance(value, dict):
            return value
    return {MAIN_ARGUMENT[tool]: text} if tool in MAIN_ARGUMENT and text else {}
