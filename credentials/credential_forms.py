"""Forms of credentials that are a value: a variable of the sandbox, or a bearer token of an MCP server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

from contract.rows import WithMetadata
from credentials.scopes import FIELDS

if TYPE_CHECKING:
    from credentials.models import Credential

KINDS = [
    ("environment_variable", _("A variable of the sandbox")),
    ("static_bearer", _("A bearer token of an MCP server")),
]
UNSEEN = {"autocomplete": "off", "spellcheck": "false"}
LABELS = {"agents": _("Agents"), "tools": _("Tools"), "hosts": _("Hosts"), "methods": _("Methods")}
HINTS = {
    "agents": _("Ids of agents. Empty means any."),
    "tools": _("Such as bash, or tools of an MCP server. Empty means any."),
    "hosts": _("Such as api.example.com or *.example.com. Empty means any that credential and environment permit."),
    "methods": _("Such as GET, POST. Empty means any."),
}


def _words(value: str) -> list[str]:
    return value.replace(",", " ").split()


class ScopeForm(WithMetadata):
    """What every credential has: a name and a scope."""

    places = {
        "auth.secret_name": "place",
        "auth.mcp_server_url": "place",
        "auth.networking": "allowed_hosts",
        "auth.injection_location": "in_body",
        **{f"auth.{name}": "secret" for name in ("secret_value", "token", "access_token")},
        **{f"holdfast.scope.{name}": name for name in FIELDS},
    }

    display_name = forms.CharField(label=_("Name"), max_length=255, required=False)
    agents, tools, hosts, methods = (
        forms.CharField(label=LABELS[field], required=False, help_text=HINTS[field]) for field in FIELDS
    )

    def ours(self) -> dict[str, Any]:
        """Our own part of a request's body."""
        return {"scope": {field: _words(self.cleaned_data[field]) or None for field in FIELDS}}


class CredentialForm(ScopeForm):
    """A new credential."""

    kind = forms.ChoiceField(choices=KINDS, initial=KINDS[0][0], label=_("Kind"))
    place = forms.CharField(label=_("Variable or address"), help_text=_("GITHUB_TOKEN, or https://mcp.example.com/mcp"))
    secret = forms.CharField(
        label=_("Secret"),
        widget=forms.PasswordInput(attrs=UNSEEN),
        strip=True,
        help_text=_("Sealed when it is stored, and never shown again. The sandbox gets a placeholder."),
    )
    allowed_hosts = forms.CharField(
        label=_("Hosts that may get it"),
        required=False,
        help_text=_("For variables: such as api.github.com *.example.com. Empty means every host of the environment."),
    )
    in_body = forms.BooleanField(label=_("Also in bodies, not only in headers"), required=False)

    def body(self) -> dict[str, Any]:
        """The request of the API."""
        data = self.cleaned_data
        if data["kind"] == "static_bearer":
            auth = {"type": "static_bearer", "mcp_server_url": data["place"], "token": data["secret"]}
        else:
            hosts = _words(data["allowed_hosts"])
            auth = {
                "type": "environment_variable",
                "secret_name": data["place"],
                "secret_value": data["secret"],
                "networking": {"type": "limited", "allowed_hosts": hosts} if hosts else {"type": "unrestricted"},
                "injection_location": {"header": True, "body": data["in_body"]},
            }
        named = {"display_name": data["display_name"] or None, "metadata": self.metadata_body()}
        return {**named, "auth": auth, "holdfast": self.ours()}


class CredentialChangeForm(ScopeForm):
    """Another name, another secret, another scope."""

    secret = forms.CharField(
        label=_("New secret"),
        required=False,
        widget=forms.PasswordInput(attrs=UNSEEN),
        help_text=_("Empty keeps the stored one. A new one reaches running sessions within a minute."),
    )

    allowed_hosts = forms.CharField(
        label=_("Hosts that may get it"),
        required=False,
        help_text=_("Such as api.github.com *.example.com. Empty means every host of the environment."),
    )
    in_body = forms.BooleanField(label=_("Also in bodies, not only in headers"), required=False)

    def __init__(self, data: Any, credential: Credential) -> None:
        auth = credential.auth
        shown = {field: " ".join(credential.scope.get(field, ())) for field in FIELDS}
        shown |= {"allowed_hosts": " ".join((auth.get("networking") or {}).get("allowed_hosts") or ())}
        place = {"in_body": bool((auth.get("injection_location") or {}).get("body"))}
        initial = {"display_name": credential.display_name or "", **shown, **place}
        super().__init__(data, initial=initial, stored=credential.metadata)
        self._kind, self._auth = auth["type"], auth
        if self._kind != "environment_variable":
            del self.fields["allowed_hosts"], self.fields["in_body"]

    def body(self) -> dict[str, Any]:
        """The request of the API."""
        body: dict[str, Any] = {"holdfast": self.ours(), "metadata": self.metadata_body()}
        if self.cleaned_data["display_name"]:
            body["display_name"] = self.cleaned_data["display_name"]
        auth = self._changed()
        return body | ({"auth": {"type": self._kind, **auth}} if auth else {})

    def _changed(self) -> dict[str, Any]:
        """What is otherwise than before of the credential itself."""
        data, changed = self.cleaned_data, {}
        field = {"environment_variable": "secret_value", "static_bearer": "token", "mcp_oauth": "access_token"}
        if data["secret"]:
            changed[field[self._kind]] = data["secret"]
        if "allowed_hosts" in self.changed_data:
            hosts = _words(data["allowed_hosts"])
            changed["networking"] = {"type": "limited", "allowed_hosts": hosts} if hosts else {"type": "unrestricted"}
        if "in_body" in self.changed_data:
            before = self._auth.get("injection_location") or {}
            changed["injection_location"] = {"header": before.get("header", True), "body": data["in_body"]}
        return changed
