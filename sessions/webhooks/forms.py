"""The form of a webhook endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

from sessions.webhooks import kinds
from sessions.webhooks.endpoints import MAX_DESCRIPTION, MAX_NAME, MAX_URL

if TYPE_CHECKING:
    from sessions.models import WebhookEndpoint

LABELS = {
    "agent": _("Agents"),
    "deployment": _("Deployments"),
    "deployment_run": _("Scheduled runs"),
    "environment": _("Environments"),
    "external_key": _("External keys"),
    "memory_store": _("Memory stores"),
    "session": _("Sessions"),
    "user_profile": _("User profiles"),
    "vault": _("Vaults"),
    "vault_credential": _("Credentials"),
}


class EndpointForm(forms.Form):
    """A new endpoint, or a change of one. One field of check boxes for each kind of object."""

    url = forms.CharField(
        label=_("Address"), max_length=MAX_URL, help_text=_("An https:// address that answers with 2xx.")
    )
    name = forms.CharField(label=_("Name"), max_length=MAX_NAME, required=False)
    description = forms.CharField(label=_("Description"), max_length=MAX_DESCRIPTION, required=False)

    def __init__(self, data: Any = None, *, endpoint: WebhookEndpoint | None = None) -> None:
        initial: dict[str, Any] = {}
        if endpoint is not None:
            chosen = endpoint.enabled_events
            initial = {"url": endpoint.url, "name": endpoint.name, "description": endpoint.description}
            for kind, names in kinds.groups().items():
                initial[f"events_{kind}"] = [name for name in names if name in chosen]
        super().__init__(data, initial=initial)
        for kind, names in kinds.groups().items():
            self.fields[f"events_{kind}"] = forms.MultipleChoiceField(
                label=LABELS.get(kind, kind),
                choices=[(name, name) for name in names],
                required=False,
                widget=forms.CheckboxSelectMultiple,
            )

    def event_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith("events_")]

    def clean(self) -> dict[str, Any] | None:
        found = super().clean() or {}
        names = [name for field in self.fields if field.startswith("events_") for name in found.get(field) or []]
        if not names:
            raise forms.ValidationError(_("Choose at least one kind of event."))
        found["enabled_events"] = names
        return found

    def body(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("url", "name", "description", "enabled_events")}
