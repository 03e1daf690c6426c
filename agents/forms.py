"""The form of an environment: what a person types, as the body the API would get."""

from __future__ import annotations

from typing import Any

from django import forms


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
