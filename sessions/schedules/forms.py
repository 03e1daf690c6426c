"""The form of a deployment: what a person types, as the body the API would get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

from sessions.forms import MESSAGE_LENGTH, NewSessionForm, message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contract.acting import Acting
    from sessions.models import Deployment

KEPT = _("The first message is more than a single text and was set by the API; it is kept.")


class DeploymentForm(NewSessionForm):
    """A new deployment, or a change of one that keeps what the form doesn't show."""

    name = forms.CharField(label=_("Name"), max_length=256)
    description = forms.CharField(label=_("Description"), max_length=2048, required=False)
    expression = forms.CharField(
        label=_("Schedule"),
        max_length=256,
        required=False,
        widget=forms.TextInput(attrs={"class": "source", "autocomplete": "off", "spellcheck": "false"}),
        help_text=_(
            "Five fields: minute, hour, day of the month, month, day of the week. "
            "“0 9 * * 1-5” is nine o'clock on weekdays. Empty runs by hand only."
        ),
    )
    time_zone = forms.CharField(
        label=_("Time zone"),
        max_length=64,
        required=False,
        widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off", "spellcheck": "false"}),
        help_text=_("Such as Europe/Berlin; the schedule follows its daylight saving. Empty is UTC."),
    )
    field_order = ("name", "description", "agent", "environment", "task", "expression", "time_zone")

    def __init__(self, *args: Any, acting: Acting, deployment: Deployment | None = None, **kwargs: Any) -> None:
        if deployment is not None:
            kwargs["initial"] = _initial(deployment)
        super().__init__(*args, acting=acting, **kwargs)
        for name in ("attachments", "title", "vaults", "limit_dollars", "limit_steps", "limit_running_seconds"):
            del self.fields[name]
        self.fields["task"].help_text = _("In plain words. Each run starts a session with it.")
        self.fixed_task = deployment is not None and single_text(deployment.initial_events) is None
        if self.fixed_task:
            self.fields["task"].required = False
            self.fields["task"].disabled = True
            self.fields["task"].help_text = KEPT

    def deployment_body(self) -> dict[str, Any]:
        """The API's body of this form."""
        data: Mapping[str, Any] = self.cleaned_data
        zone = data["time_zone"] or "UTC"
        schedule = {"type": "cron", "expression": data["expression"], "timezone": zone} if data["expression"] else None
        body = {
            "name": data["name"],
            "description": data["description"] or None,
            "environment_id": data["environment"],
            "schedule": schedule,
        }
        if data["agent"] != self.initial.get("agent"):
            body["agent"] = data["agent"]  # the same one stays pinned to its version
        if not self.fixed_task:
            task = data["task"].replace("\r\n", "\n")[:MESSAGE_LENGTH]
            body["initial_events"] = [message(task, ())]
        return body


def single_text(events: list[dict[str, Any]]) -> str | None:
    """The words of a first message that is one text and nothing else."""
    content = events[0].get("content") or [] if len(events) == 1 else []
    if len(content) == 1 and content[0].get("type") == "text" and events[0]["type"] == "user.message":
        return str(content[0]["text"])
    return None


def _initial(deployment: Deployment) -> dict[str, Any]:
    return {
        "name": deployment.name,
        "description": deployment.description or "",
        "agent": deployment.agent_id,
        "environment": deployment.environment_id,
        "task": single_text(deployment.initial_events) or "",
        "expression": deployment.expression,
        "time_zone": deployment.time_zone,
    }
