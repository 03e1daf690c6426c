"""Forms of agents and environments: what a person types, as the body the API would get."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings

from agents import bodies
from agents.mcp.tools import TOOLSET_TYPE as MCP_TOOLSET_TYPE
from agents.policies import CUSTOM_TYPE, TOOLSET_TYPE
from agents.tools.registry import TOOLSET as TOOLS
from contract.door import explain
from contract.schema import OURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EFFORTS = ("low", "medium", "high", "xhigh", "max")
PERMISSIONS = (
    ("always_allow", "Allow"),
    ("auto", "Judge each call"),
    ("always_ask", "Ask a person"),
    ("off", "Off"),
)
PERMISSION_LABELS = dict(PERMISSIONS)
BUILT_IN = {
    "bash": "Runs commands in the sandbox's shell.",
    "read": "Reads files, images and PDFs.",
    "write": "Creates or replaces files.",
    "edit": "Replaces text in files.",
    "glob": "Finds files by name.",
    "grep": "Searches in files.",
    "web_fetch": "Reads a public web page or file; the server fetches it.",
    "web_search": "Searches the web.",
}


class AgentForm(forms.Form):
    """A new agent, or a change of ``spec`` (the latest version's) that keeps what the form doesn't show."""

    name = forms.CharField(max_length=256)
    description = forms.CharField(max_length=2048, required=False, help_text="Shown in lists; the model never sees it.")
    model = forms.CharField(
        max_length=256,
        widget=forms.TextInput(attrs={"list": "models", "autocomplete": "off", "spellcheck": "false"}),
        help_text="Any model id the configured server knows. “demo” follows rules, without AI, and needs no key.",
    )
    effort = forms.ChoiceField(
        choices=[(level, level.capitalize()) for level in EFFORTS], help_text="How hard the model thinks."
    )
    system = forms.CharField(
        label="Instructions",
        max_length=100_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text="The system prompt. Markdown is fine.",
    )
    custom_tools = forms.CharField(
        label="Custom tools",
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "class": "source", "spellcheck": "false"}),
        help_text="A JSON array of tools your own program (or a person on the session page) answers. "
        'Each has "type": "custom", "name", "description" and "input_schema".',
    )
    permission_rules = forms.CharField(
        label="Permission rules",
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "class": "source", "spellcheck": "false"}),
        help_text="A JSON array; the first rule that matches a call decides, else the table above. For instance "
        '{"effect": "ask", "tool": "bash", "command_prefix": "git push", "self_approval": false}.',
    )
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, spec: Mapping[str, Any] | None = None, version: int = 0) -> None:
        self.spec = spec
        super().__init__(data, initial=_initial(spec, version))
        self.models = sorted({settings.HOLDFAST_MODEL_DEFAULT, "demo"})
        for name, text in BUILT_IN.items():
            self.fields[f"tool_{name}"] = forms.ChoiceField(
                label=name,
                choices=PERMISSIONS,
                initial=permission_of(name, _toolset(spec)),
                help_text=TOOLS[name].not_offered() or text,
            )

    def tool_fields(self) -> list[forms.BoundField]:
        """The built-in tools' fields, for the table."""
        return [self[f"tool_{name}"] for name in BUILT_IN]

    def clean_permission_rules(self) -> list[Any]:
        return _objects(self.cleaned_data["permission_rules"])

    def clean_custom_tools(self) -> list[Any]:
        value = _objects(self.cleaned_data["custom_tools"])
        if any(tool.get("type") != CUSTOM_TYPE for tool in value):
            raise forms.ValidationError('Each tool must have "type": "custom".')
        return value

    def body(self) -> dict[str, Any]:
        """The API's body of this form."""
        data = self.cleaned_data
        body = {
            "name": data["name"],
            "description": data["description"] or None,
            "model": self._model(),
            "system": data["system"].replace("\r\n", "\n") or None,
            "tools": [*self._toolset(), *self._other_tools(), *data["custom_tools"]],
        }
        if data["permission_rules"] or (self.spec or {}).get(OURS):
            body[OURS] = {"permission_rules": data["permission_rules"]}
        return body | ({"version": data["version"]} if self.spec and data["version"] else {})

    def _model(self) -> dict[str, Any]:
        kept = {key: (self.spec or {}).get("model", {}).get(key) for key in ("speed", "inference_geo")}
        chosen = {"id": self.cleaned_data["model"], "effort": self.cleaned_data["effort"]}
        return chosen | {key: value for key, value in kept.items() if value is not None}

    def _toolset(self) -> list[dict[str, Any]]:
        """The built-in toolset with only those entries changed whose permission was."""
        stored = _toolset(self.spec)
        default = (stored or {}).get("default_config") or _DEFAULT
        configs = {config["name"]: dict(config) for config in (stored or {}).get("configs", ())}
        chosen = {name: self.cleaned_data[f"tool_{name}"] for name in BUILT_IN}
        if stored is None and set(chosen.values()) == {"off"}:
            return []
        current: Mapping[str, Any] = stored or {"default_config": _DEFAULT, "configs": []}
        for name, permission in chosen.items():
            if permission != permission_of(name, current):
                configs[name] = {**configs.get(name, {}), **_config(name, permission)}
        return [{"type": TOOLSET_TYPE, "default_config": dict(default), "configs": list(configs.values())}]

    def _other_tools(self) -> list[Mapping[str, Any]]:
        shown = (TOOLSET_TYPE, CUSTOM_TYPE)
        return [tool for tool in (self.spec or {}).get("tools", ()) if tool["type"] not in shown]

    def checked_body(self) -> dict[str, Any] | None:
        """``body`` if it has the API's shape; otherwise None, with the complaint on the form."""
        if not self.is_valid():
            return None
        from pydantic import ValidationError

        try:
            return (bodies.AGENT_UPDATE if self.spec else bodies.AGENT_CREATE).check(self.body())
        except ValidationError as error:
            explain(self, error)
            return None


def _objects(text: str) -> list[Any]:
    """A JSON array of objects; nothing typed is none of them."""
    if not text.strip():
        return []
    try:
        value = json.loads(text)
    except ValueError as error:
        raise forms.ValidationError(f"This is not valid JSON: {error}.") from error
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise forms.ValidationError("This must be a JSON array of objects.")
    return value


class EnvironmentForm(forms.Form):
    """A cloud environment."""

    name = forms.CharField(max_length=256)
    description = forms.CharField(required=False, max_length=2048)
    networking = forms.ChoiceField(
        label="Network", choices=[("limited", "Limited to the hosts below"), ("unrestricted", "Unrestricted")]
    )
    allowed_hosts = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "source", "spellcheck": "false"}),
        help_text="One a line: example.com or *.example.com. None means no host.",
    )

    def body(self) -> dict[str, Any]:
        """The API's body of this form."""
        data = self.cleaned_data
        networking: dict[str, Any] = {"type": data["networking"]}
        if networking["type"] == "limited":
            networking["allowed_hosts"] = data["allowed_hosts"].split()
        config = {"type": "cloud", "networking": networking}
        return {"name": data["name"], "description": data["description"] or None, "config": config}


_DEFAULT: dict[str, Any] = {"enabled": True, "permission_policy": {"type": "always_allow"}}


def permission_of(name: str, toolset: Mapping[str, Any] | None) -> str:
    """What a toolset says about a tool: ``always_allow``, ``auto``, ``always_ask`` or ``off``."""
    if toolset is None:
        return "off"
    own: Mapping[str, Any] = next((config for config in toolset.get("configs", ()) if config["name"] == name), {})
    merged = {**toolset["default_config"], **own}
    return str(merged["permission_policy"]["type"]) if merged["enabled"] else "off"


def listed_tools(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The tools an agent may use, for people: name, description and permission."""
    toolset = next((tool for tool in tools if tool["type"] == TOOLSET_TYPE), None)
    listed = []
    for name, text in BUILT_IN.items():
        permission = permission_of(name, toolset)
        if permission != "off":
            missing = TOOLS[name].not_offered()
            permission = "Not offered" if missing else PERMISSION_LABELS[permission]
            listed.append({"name": name, "description": missing or text, "permission": permission})
    for tool in tools:
        if tool["type"] == CUSTOM_TYPE:
            answered = "Its client or a person answers"
            listed.append({"name": tool["name"], "description": tool["description"], "permission": answered})
        elif tool["type"] == MCP_TOOLSET_TYPE:
            listed += _served(tool)
    return listed


def _served(tool: Mapping[str, Any]) -> list[dict[str, str]]:
    """An MCP server's tools, as far as they are known without asking it."""
    server, default = tool["mcp_server_name"], tool["default_config"]
    rest = PERMISSION_LABELS[default["permission_policy"]["type"]] if default["enabled"] else "Off"
    listed = [{"name": f"{server}: all others" if tool["configs"] else server, "permission": rest}]
    for config in tool["configs"]:
        own = PERMISSION_LABELS[config["permission_policy"]["type"]] if config["enabled"] else "Off"
        listed.append({"name": f"{server}: {config['name']}", "permission": own})
    return [{**entry, "description": "From the MCP server of this name."} for entry in reversed(listed)]


def _config(name: str, permission: str) -> dict[str, Any]:
    if permission == "off":
        return {"name": name, "enabled": False}
    return {"name": name, "enabled": True, "permission_policy": {"type": permission}}


def _toolset(spec: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The built-in toolset of ``spec``; a new agent starts with all of it."""
    if spec is None:
        return {"default_config": _DEFAULT, "configs": []}
    return next((tool for tool in spec["tools"] if tool["type"] == TOOLSET_TYPE), None)


def _initial(spec: Mapping[str, Any] | None, version: int) -> dict[str, Any]:
    if spec is None:
        return {"model": settings.HOLDFAST_MODEL_DEFAULT, "effort": "high"}
    custom = [tool for tool in spec["tools"] if tool["type"] == CUSTOM_TYPE]
    rules = (spec.get(OURS) or {}).get("permission_rules")
    return {
        "name": spec["name"],
        "description": spec["description"] or "",
        "model": spec["model"]["id"],
        "effort": spec["model"]["effort"]["type"],
        "system": spec["system"] or "",
        "custom_tools": json.dumps(custom, indent=2, ensure_ascii=False) if custom else "",
        "permission_rules": json.dumps(rules, indent=2, ensure_ascii=False) if rules else "",
        "version": version,
    }
