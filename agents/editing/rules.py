"""Permission rules as rows: the first that matches a call decides, so their order is what they mean."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from contract.rows import AlikeField, Row, Words, of

EFFECTS = (("", _("Choose…")), ("allow", _("Allow")), ("ask", _("Ask a person")), ("deny", _("Deny")))
ANSWERERS = (("", _("Anyone who may approve")), ("false", _("Not who started the session")))
EXPIRIES = (("", _("The call is denied")), ("interrupt", _("The agent stops")))


class RuleRow(Row):
    """One rule; its conditions must all hold, and none is about every call."""

    effect = forms.ChoiceField(label=_("Then"), choices=EFFECTS)
    tool = Words(label=_("Tool"), max_length=500)
    mcp_server = Words(label=_("MCP server"), max_length=500)
    command_prefix = Words(label=_("Command begins with"), max_length=500)
    command = Words(label=_("Command is like"), max_length=500)
    path = Words(label=_("Path is like"), max_length=500)
    host = Words(label=_("Host"), max_length=255)
    note = Words(label=_("Why"), max_length=500, source=False)
    self_approval = AlikeField(label=_("Who may answer"), choices=ANSWERERS, required=False, alike={"true": ""})
    expires_after_seconds = forms.IntegerField(label=_("Seconds to answer"), required=False)
    on_expiry = AlikeField(label=_("And then"), choices=EXPIRIES, required=False, alike={"deny": ""})

    conditions = ("tool", "mcp_server", "command_prefix", "command", "path", "host")
    asking = ("self_approval", "expires_after_seconds", "on_expiry")

    @classmethod
    def shown(cls, value: Any) -> dict[str, Any]:
        said = value.get("self_approval")
        return {**value, "self_approval": "" if said is None else str(said).lower()}

    def condition_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.conditions]

    def asking_fields(self) -> list[forms.BoundField]:
        """What only a rule that asks has."""
        return [self[name] for name in self.asking]

    def opened(self) -> bool:
        """Whether something is said in the part that is folded else."""
        return any(self[name].value() not in (None, "") or self[name].errors for name in ("note", *self.asking))

    def value(self) -> dict[str, Any]:
        made: dict[str, Any] = super().value()
        if "self_approval" in made:
            made["self_approval"] = made["self_approval"] == "true"
        return made


rule_rows = of(
    RuleRow,
    template="agents/rows/rule.html",
    ordered=True,
    label=_("Permission rules"),
    act=_("Add a rule"),
    hint=_(
        "The first rule that fits a call decides; else the tool's own permission. All that a rule says must hold; “*” "
        "stands for anything. A tool without a server is a built-in one."
    ),
)
