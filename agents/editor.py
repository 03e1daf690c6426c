"""The editor of an agent: every field of the API's agent as a form, and the form as the body the API would get."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from agents import bodies, written
from agents.mcp.tools import TOOLSET_TYPE as MCP_TOOLSET_TYPE
from agents.models import Skill
from agents.permitted import BUILT_IN, PERMISSIONS, permission_of
from agents.policies import CUSTOM_TYPE
from agents.tools.registry import TOOLSET as TOOLS
from contract.door import explain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contract.acting import Acting

EFFORTS = ("low", "medium", "high", "xhigh", "max")
SPEEDS = (("standard", _("Standard")), ("fast", _("Fast")))
GEOS = (("", _("Anywhere the provider chooses")), ("us", "us"), ("global", "global"))
SOURCE = {"class": "source", "spellcheck": "false"}
COUNTS = ("steps", "model_requests", "tokens", "running_seconds", "approval_seconds")
LISTED_SKILLS = 200
# Which field of the form a complaint about a field of the API belongs to.
PLACES = {
    "multiagent": "multiagent",
    "mcp_servers": "mcp_servers",
    "execution_identity": "role_arn",
    "holdfast.permission_rules": "permission_rules",
    "holdfast.fallback_models": "fallback_models",
    "holdfast.limits.list_cost": "limit_dollars",
    **{f"holdfast.limits.{name}": f"limit_{name}" for name in COUNTS},
}


class JsonField(forms.CharField):
    """Text that holds JSON of one kind; nothing typed is an empty one. A complaint says where it stops making sense."""

    def __init__(self, kind: type[list[Any]] | type[dict[str, Any]], *, rows: int = 4, **kwargs: Any) -> None:
        super().__init__(required=False, widget=forms.Textarea(attrs={"rows": rows, **SOURCE}), **kwargs)
        self.kind = kind

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text.strip():
            return self.kind()
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(_now("This is not valid JSON: %(error)s.") % {"error": error}) from error
        if not isinstance(found, self.kind):
            shape = _now("a JSON array of objects") if self.kind is list else _now("a JSON object")
            raise forms.ValidationError(_now("This must be %(shape)s.") % {"shape": shape})
        if isinstance(found, list) and not all(isinstance(one, dict) for one in found):
            raise forms.ValidationError(_now("This must be a JSON array of objects."))
        return found


def _count(label: Any, text: Any = "") -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=1, help_text=text)


class AgentForm(forms.Form):
    """A new agent that starts from what ``like`` says, or a change of ``spec``, the version that is edited.

    Once a newer version was looked at (``over``), what was changed in ``spec`` is laid over that one.
    """

    name = forms.CharField(label=_("Name"), max_length=256)
    description = forms.CharField(
        label=_("Description"),
        max_length=2048,
        required=False,
        help_text=_("Shown in lists; the model never sees it."),
    )
    model = forms.CharField(
        label=_("Model"),
        max_length=256,
        widget=forms.TextInput(attrs={"list": "models", "autocomplete": "off", "spellcheck": "false"}),
        help_text=_("Any model id the configured server knows. “demo” follows rules, without AI, and needs no key."),
    )
    effort = forms.ChoiceField(
        label=_("Effort"),
        choices=[(level, level.capitalize()) for level in EFFORTS],
        help_text=_("How hard the model thinks."),
    )
    speed = forms.ChoiceField(label=_("Speed"), choices=SPEEDS, required=False)
    inference_geo = forms.ChoiceField(label=_("Where it runs"), choices=GEOS, required=False)
    fallback_models = forms.CharField(
        label=_("Fallback models"),
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=_("Asked in this order once the model has failed for good; separated by commas."),
    )
    system = forms.CharField(
        label=_("Instructions"),
        max_length=100_000,
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 10}),
        help_text=_("The system prompt. Markdown is fine."),
    )
    tool_settings = JsonField(
        dict,
        label=_("Settings of single tools"),
        help_text=_(
            'A JSON object by tool, for instance {"web_fetch": {"allowed_domains": ["docs.example.com"], '
            '"max_content_tokens": 20000}}.'
        ),
    )
    custom_tools = JsonField(
        list,
        label=_("Custom tools"),
        help_text=_(
            "A JSON array of tools your own program (or a person on the session page) answers. "
            'Each has "type": "custom", "name", "description" and "input_schema".'
        ),
    )
    mcp_servers = JsonField(
        list,
        label=_("MCP servers"),
        help_text=_(
            'A JSON array, for instance {"type": "url", "name": "tickets", "url": "https://mcp.example.com/mcp"}. '
            "Never a secret: those come from the session's vaults."
        ),
    )
    mcp_toolsets = JsonField(
        list,
        label=_("Tools of MCP servers"),
        help_text=_(
            'A JSON array, for instance {"type": "mcp_toolset", "mcp_server_name": "tickets", "default_config": '
            '{"permission_policy": {"type": "always_ask"}}, "configs": [{"name": "delete", "enabled": false}]}.'
        ),
    )
    permission_rules = JsonField(
        list,
        label=_("Permission rules"),
        help_text=_(
            "A JSON array; the first rule that matches a call decides, else the table above. For instance "
            '{"effect": "ask", "tool": "bash", "command_prefix": "git push", "self_approval": false}.'
        ),
    )
    skills = forms.MultipleChoiceField(
        label=_("Skills"), required=False, widget=forms.CheckboxSelectMultiple, help_text=_("They need the tool read.")
    )
    newest_skills = forms.BooleanField(label=_("Take the newest version of each"), required=False)
    multiagent = JsonField(
        dict,
        label=_("Agents it may call on"),
        help_text=_(
            'A JSON object, for instance {"type": "coordinator", "agents": ["agent_…", {"type": "self"}]}. '
            "Members are pinned to their version of now."
        ),
    )
    limit_steps = _count(_("Steps"), _("Model replies with tool calls."))
    limit_model_requests = _count(_("Model requests"))
    limit_tokens = _count(_("Tokens"), _("Of every kind."))
    limit_running_seconds = _count(_("Seconds of work"), _("Waiting for a person doesn't count."))
    limit_approval_seconds = _count(_("Seconds to answer"), _("A call nobody answers by then is refused."))
    limit_dollars = forms.DecimalField(
        label=_("US dollars"), required=False, min_value=Decimal("0.01"), max_digits=12, decimal_places=2
    )
    role_arn = forms.CharField(
        label=_("AWS role"),
        required=False,
        max_length=2048,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=_("Kept and shown only: this installation starts no sessions of agents that act as one."),
    )
    metadata = JsonField(dict, label=_("Metadata"), rows=2, help_text=_('A JSON object of texts: {"team": "billing"}.'))
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    over = forms.IntegerField(required=False, widget=forms.HiddenInput)  # the newer version that was looked at

    def __init__(
        self,
        data: Any = None,
        *,
        acting: Acting,
        spec: Mapping[str, Any] | None = None,
        version: int = 0,
        like: Mapping[str, Any] | None = None,
    ) -> None:
        self.spec = spec
        shown = spec if spec is not None else like
        super().__init__(data, initial=written.initial(shown, version) if shown else _fresh())
        self.models = sorted({settings.HOLDFAST_MODEL_DEFAULT, "demo"})
        toolset = written.toolset(shown)
        for name, text in BUILT_IN.items():
            self.fields[f"tool_{name}"] = forms.ChoiceField(
                label=name,
                choices=PERMISSIONS,
                initial=permission_of(name, toolset),
                help_text=TOOLS[name].not_offered() or text,
            )
        chooser = self.fields["skills"]
        if isinstance(chooser, forms.MultipleChoiceField):
            chooser.choices = _skill_choices(acting, shown)

    def clean_custom_tools(self) -> list[Any]:
        return _all_of_type(self.cleaned_data["custom_tools"], CUSTOM_TYPE)

    def clean_mcp_toolsets(self) -> list[Any]:
        return _all_of_type(self.cleaned_data["mcp_toolsets"], MCP_TOOLSET_TYPE)

    def clean_tool_settings(self) -> dict[str, Any]:
        value: dict[str, Any] = self.cleaned_data["tool_settings"]
        for name, own in value.items():
            if name not in BUILT_IN:
                raise forms.ValidationError(_now("There is no built-in tool %(name)s.") % {"name": name})
            if not isinstance(own, dict):
                raise forms.ValidationError(_now("The settings of %(name)s must be a JSON object.") % {"name": name})
        return value

    def tool_fields(self) -> list[forms.BoundField]:
        """The built-in tools' fields, for the table."""
        return [self[f"tool_{name}"] for name in BUILT_IN]

    def limit_fields(self) -> list[forms.BoundField]:
        """The caps' fields, in the order of the page."""
        return [self[f"limit_{name}"] for name in (*COUNTS[:3], "dollars", *COUNTS[3:])]

    def body(self) -> dict[str, Any]:
        """The API's body of this form: of a change, what it changes and the version it is based on."""
        whole = written.body(self.cleaned_data, self.spec)
        if self.spec is None:
            return whole
        sent = written.changes(whole, self.spec)
        version = self.cleaned_data["over"] or self.cleaned_data["version"]
        return ({"version": version} if version else {}) | sent

    def checked_body(self) -> dict[str, Any] | None:
        """``body`` if it has the API's shape; otherwise None, with the complaint on the form."""
        if not self.is_valid():
            return None
        from pydantic import ValidationError

        try:
            return (bodies.AGENT_UPDATE if self.spec else bodies.AGENT_CREATE).check(self.body())
        except ValidationError as error:
            explain(self, error, self.place)
            return None

    def place(self, path: str) -> str:
        """The field of the form that a complaint about the API's field at ``path`` belongs to."""
        for prefix, name in PLACES.items():
            if path == prefix or path.startswith(f"{prefix}."):
                return name
        head, _, rest = path.partition(".")
        if head != "tools":
            return head
        number = rest.partition(".")[0]
        sent = written.body(self.cleaned_data, self.spec)["tools"]
        kind = sent[int(number)]["type"] if number.isdigit() and int(number) < len(sent) else ""
        return written.TOOL_PLACES.get(kind, "mcp_toolsets" if "mcp" in path else "custom_tools")


def _all_of_type(tools: list[Any], kind: str) -> list[Any]:
    if any(tool.get("type") != kind for tool in tools):
        raise forms.ValidationError(_now('Each tool must have "type": "%(kind)s".') % {"kind": kind})
    return tools


def _skill_choices(acting: Acting, spec: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """The workspace's skills, and those the agent has that aren't among them."""
    rows = Skill.objects.filter(workspace_id=acting.workspace_id).exclude(latest=None)
    found = dict(rows.order_by("display_name").values_list("pk", "display_name")[:LISTED_SKILLS])
    for skill in (spec or {}).get("skills", ()):
        found.setdefault(skill["skill_id"], skill["skill_id"])
    return list(found.items())


def _fresh() -> dict[str, Any]:
    return {"model": settings.HOLDFAST_MODEL_DEFAULT, "effort": "high", "speed": "standard"}
