"""The form of an environment: what a person types, as the body the API would get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.environments import MANAGERS, MAX_DESCRIPTION, SELF_HOSTED
from contract.rows import WithMetadata

if TYPE_CHECKING:
    from agents.models import Environment


CLOUD = ("networking", "allowed_hosts", "allow_package_managers", "allow_mcp_servers", "packages")
KINDS = (("cloud", _("Sandboxes of this installation")), (SELF_HOSTED, _("Workers of your own, elsewhere")))


class EnvironmentForm(WithMetadata):
    """An environment. What kind it is stays; one of outside workers has neither network nor packages here."""

    places = {
        "config.networking.allow_package_managers": "allow_package_managers",
        "config.networking.allow_mcp_servers": "allow_mcp_servers",
        "config.networking.type": "networking",
        "config.networking": "allowed_hosts",
        "config.packages": "packages",
    }

    name = forms.CharField(label=_("Name"), max_length=256)
    description = forms.CharField(label=_("Description"), required=False, max_length=MAX_DESCRIPTION)
    kind = forms.ChoiceField(
        label=_("Where it runs"), choices=KINDS, required=False, help_text=_("This can't be changed later.")
    )
    networking = forms.ChoiceField(
        label=_("Network"),
        choices=[("limited", _("Limited to the hosts below")), ("unrestricted", _("Unrestricted"))],
        required=False,
    )
    allowed_hosts = forms.CharField(
        label=_("Allowed hosts"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "source", "spellcheck": "false"}),
        help_text=_("One a line: example.com or *.example.com. None means no host."),
    )

    allow_package_managers = forms.BooleanField(
        label=_("Let the installers of packages through"), required=False, help_text=_("Of limited networks.")
    )
    allow_mcp_servers = forms.BooleanField(
        label=_("Let calls to the agent's MCP servers through"), required=False, help_text=_("Of limited networks.")
    )
    packages = forms.CharField(
        label=_("Packages"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "source", "spellcheck": "false"}),
        help_text=_(
            "One a line, each after its manager: “pip numpy==2.1” or “npm left-pad”. Installed in new sandboxes."
        ),
    )

    def __init__(self, data: Any = None, *, environment: Environment | None = None, **kwargs: Any) -> None:
        stored = environment.metadata if environment else {}
        super().__init__(data, stored=stored, **kwargs)
        self.kept = environment.config["type"] if environment else ""
        if self.kept:
            del self.fields["kind"]
        if self.kept == SELF_HOSTED:
            for name in CLOUD:
                del self.fields[name]

    def clean_packages(self) -> dict[str, list[str]]:
        """The names by manager; whether they exist shows when a sandbox is made."""
        lists: dict[str, list[str]] = {manager: [] for manager in MANAGERS}
        for line in self.cleaned_data["packages"].splitlines():
            manager, _space, name = line.strip().partition(" ")
            if not manager:
                continue
            if manager not in lists or not name.strip():
                known = ", ".join(MANAGERS)
                told = gettext("“%(line)s” must be a manager (%(known)s), a space and a package.")
                raise forms.ValidationError(told % {"line": line, "known": known})
            lists[manager].append(name.strip())
        return lists

    def body(self) -> dict[str, Any]:
        """The API's body of this form."""
        data = self.cleaned_data
        named = {"name": data["name"], "description": data["description"] or None, "metadata": self.metadata_body()}
        if SELF_HOSTED in (self.kept, data.get("kind")):
            return named if self.kept else {**named, "config": {"type": SELF_HOSTED}}
        networking: dict[str, Any] = {"type": data["networking"] or "limited"}
        if networking["type"] == "limited":
            networking["allowed_hosts"] = data["allowed_hosts"].split()
            networking |= {name: data[name] for name in ("allow_package_managers", "allow_mcp_servers")}
        config = {"type": "cloud", "networking": networking, "packages": {"type": "packages", **data["packages"]}}
        return {**named, "config": config}
