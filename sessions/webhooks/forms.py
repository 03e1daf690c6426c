"""The form of a webhook endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

from sessions.webhooks import kinds

if TYPE_CHECKING:
    from sessions.models import WebhookEndpoint

LABELS = {
    "agent": "Agents",
    "deployment": "Deployments",
    "deployment_run": "Scheduled runs",
    "environment": "Environments",
    "external_key": "External keys",
    "memory_store": "Memory stores",
    "session": "Sessions",
    "user_profile": "User profiles",
    "vault": "Vaults",
    "vault_credential": "Credentials",
}


class EndpointForm(forms.Form):
    """A new endpoint, or a change of one. One field of check boxes for each kind of object."""

    url = forms.CharField(label="Address", max_length=2048, help_text="An https:// address that answers with 2xx.")
    name = forms.CharField(max_length=256, required=False)
    description = forms.CharField(max_length=2048, required=False)

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
            raise forms.ValidationError("Choose at least one kind of event.")
        found["enabled_events"] = names
        return found

    def body(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("url", "name", "description", "enabled_events")}
