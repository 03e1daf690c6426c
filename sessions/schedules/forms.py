"""The form of a deployment: what a person types, as the body the API would get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

from sessions.forms import MESSAGE_LENGTH, message
from sessions.resources import FILE, MEMORY_STORE, REPOSITORY
from sessions.start_form import NewSessionForm
from sessions.starting import dollars

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from contract.acting import Acting
    from sessions.models import Deployment

KEPT = _("The first message is more than a single text and was set by the API; it is kept.")
KINDS = (FILE, MEMORY_STORE, REPOSITORY)  # in the order of the rows
# Fields of a session's start that deployments don't have.
LEFT_OUT = ("attachments", "title", "own_system", "outcome", "rubric", "outcome_tries")


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
        self.deployment = deployment
        if deployment is not None:
            kwargs["initial"] = _initial(deployment)
        super().__init__(*args, acting=acting, **kwargs)
        for name in [name for name in self.fields if name in LEFT_OUT or name.startswith(("limit_", "override_"))]:
            del self.fields[name]
        self.fields["task"].help_text = _("In plain words. Each run starts a session with it.")
        self.fixed_task = deployment is not None and single_text(deployment.initial_events) is None
        if self.fixed_task:
            self.fields["task"].required = False
            self.fields["task"].disabled = True
            self.fields["task"].help_text = KEPT

    def _overriding(self, data: Any, begin: bool) -> None:
        """A deployment runs its agent as that is."""

    def parts(self) -> list[Any]:
        return [self.mounts, self.metadata]

    def deployment_body(self) -> dict[str, Any]:
        """The API's body of this form. What isn't changed isn't sent: pinned versions and tokens stay."""
        data: Mapping[str, Any] = self.cleaned_data
        zone = data["time_zone"] or "UTC"
        schedule = {"type": "cron", "expression": data["expression"], "timezone": zone} if data["expression"] else None
        body = {
            "name": data["name"],
            "description": data["description"] or None,
            "environment_id": data["environment"],
            "schedule": schedule,
            "vault_ids": data["vaults"],
            "budget": self.budget(),
            "metadata": self._metadata(),
        }
        if data["agent"] != self.initial.get("agent"):
            body["agent"] = data["agent"]
        resources = self.mounts.value()
        if self.deployment is None or resources != _as_rows(self.deployment.resources):
            body["resources"] = resources
        if not self.fixed_task:
            task = data["task"].replace("\r\n", "\n")[:MESSAGE_LENGTH]
            body["initial_events"] = [message(task, ())]
        return body if self.deployment is not None else {key: value for key, value in body.items() if value is not None}

    def _metadata(self) -> dict[str, Any]:
        """Of a change, null for the pairs that are gone."""
        pairs = dict(self.metadata.value())
        before = self.deployment.metadata if self.deployment else {}
        return {key: None for key in before if key not in pairs} | pairs

    def complain(self, path: str, text: str) -> None:
        places = {"schedule.expression": "expression", "schedule.timezone": "time_zone"}
        super().complain(places.get(path, path), text)


def _as_rows(resources: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Stored resources as the form would send them back, kind by kind."""
    return [_plain(one) for kind in KINDS for one in resources if one["type"] == kind]


def _plain(resource: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in resource.items() if value is not None}
    return found | ({"access": found.get("access", "read_write")} if found["type"] == MEMORY_STORE else {})


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
        "vaults": deployment.vault_ids,
        "budget_dollars": dollars((deployment.budget or {}).get("max_list_cost")),
        "resources": deployment.resources,
        "metadata": deployment.metadata,
    }
