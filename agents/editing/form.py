"""The editor of an agent: every field of the API's agent as a form, and the form as the body the API would get."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _
from pydantic import ValidationError

from agents import bodies
from agents.editing import written
from agents.editing.parts import Parts
from agents.editing.tooling import built_in_fields, with_settings
from contract.door import explain
from contract.rows import Words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents.editing.web import WebForm
    from agents.models import AgentVersion
    from contract.acting import Acting

EFFORTS = ("low", "medium", "high", "xhigh", "max")
SPEEDS = (("standard", _("Standard")), ("fast", _("Fast")))
GEOS = (("", _("Anywhere the provider chooses")), ("us", "us"), ("global", "global"))
COUNTS = ("steps", "model_requests", "tokens", "running_seconds", "approval_seconds")
# Which field of the form a complaint about a field of the API belongs to, where they are called differently.
PLACES = {
    "execution_identity": "role_arn",
    "execution_identity.role_arn": "role_arn",
    "model.inference_geo": "inference_geo",
    "model.speed": "speed",
    "holdfast.read_log": "read_log",
    "holdfast.fallback_models": "fallback_models",
    "holdfast.limits.list_cost": "limit_dollars",
    **{f"holdfast.limits.{name}": f"limit_{name}" for name in COUNTS},
}


def _count(label: Any, text: Any = "") -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=1, help_text=text)


class AgentForm(forms.Form):
    """A new agent that starts from what ``like`` says, or a change of ``base``, the version that is edited.

    Once a newer version was looked at (``over``), what was changed in ``base`` is laid over that one.
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
    fallback_models = Words(
        label=_("Fallback models"),
        rows=2,
        help_text=_("One a line, asked in this order once the model has failed for good."),
    )
    system = forms.CharField(
        label=_("Instructions"),
        max_length=100_000,
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 10}),
        help_text=_("The system prompt. Markdown is fine."),
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
    read_log = forms.BooleanField(
        label=_("Its threads may read the log of the session"),
        required=False,
        help_text=_("By the tool ant__read_log."),
    )
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    over = forms.IntegerField(required=False, widget=forms.HiddenInput)  # the newer version that was looked at

    def __init__(
        self,
        data: Any = None,
        *,
        acting: Acting,
        base: AgentVersion | None = None,
        like: Mapping[str, Any] | None = None,
    ) -> None:
        self.spec = spec = base.spec if base else None
        self.shown = shown = spec if spec is not None else like
        super().__init__(data, initial=written.initial(shown, base.version if base else 0) if shown else _fresh())
        self.models = sorted({settings.HOLDFAST_MODEL_DEFAULT, "demo"})
        self.fields |= built_in_fields(shown)
        self.parts = Parts(data, shown or {}, base.agent_id if base else "", acting)

    def is_valid(self) -> bool:
        return super().is_valid() and self.parts.is_valid()

    def tool_fields(self) -> list[tuple[forms.BoundField, WebForm | None]]:
        """The built-in tools' fields, for the table, and the settings of those that have some."""
        return with_settings(self, self.parts)

    def limit_fields(self) -> list[forms.BoundField]:
        """The caps' fields, in the order of the page."""
        return [self[f"limit_{name}"] for name in (*COUNTS[:3], "dollars", *COUNTS[3:])]

    def whole(self) -> dict[str, Any]:
        """The agent that the form describes, as the API takes it."""
        return written.body(self.cleaned_data | self.parts.values(), self.shown, new=self.spec is None)

    def body(self) -> dict[str, Any]:
        """The API's body of this form: of a change, what it changes and the version it is based on."""
        if self.spec is None:
            return self.whole()
        sent = written.changes(self.whole(), self.spec)
        version = self.cleaned_data["over"] or self.cleaned_data["version"]
        return ({"version": version} if version else {}) | sent

    def checked_body(self) -> dict[str, Any] | None:
        """``body`` if it has the API's shape; otherwise None, with the complaints on the form."""
        if not self.is_valid():
            return None
        try:
            return (bodies.AGENT_UPDATE if self.spec else bodies.AGENT_CREATE).check(self.body())
        except ValidationError as error:
            explain(self, error)
            return None

    def complain(self, path: str, text: str) -> None:
        """``path`` is the API's."""
        name = PLACES.get(path, path.partition(".")[0])
        if path.startswith("tools."):
            index, _dot, rest = path.removeprefix("tools.").partition(".")
            tools = self.whole()["tools"]
            own = self.parts.complain_of_tool(tools, int(index), rest, text) if index.isdigit() else ""
            if own:
                self.add_error(own, text)
        elif not self.parts.complain(path, text):
            known = name in self.fields
            self.add_error(name if known else None, text if known or not path else f"{path}: {text}")

    def complaints(self) -> list[tuple[str, str]]:
        """The id of each field that is wrong, and what is wrong with it."""
        if not self.is_bound:
            return []
        own = [
            (self[name].auto_id, " ".join(map(str, errors)))
            for name, errors in self.errors.items()
            if name in self.fields
        ]
        return [*own, *self.parts.complaints()]

    @property
    def wrong(self) -> bool:
        return self.is_bound and bool(self.errors or self.complaints())


def _fresh() -> dict[str, Any]:
    return {"model": settings.HOLDFAST_MODEL_DEFAULT, "effort": "high", "speed": "standard"}
