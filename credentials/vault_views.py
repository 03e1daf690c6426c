"""Pages of vaults: what lies in them, and signing in to an MCP server for one."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from contract import rows
from contract.door import attempt, page
from contract.errors import InvalidRequest
from contract.roles import Permission
from credentials import vaults

if TYPE_CHECKING:
    from django.http import HttpResponse

    from contract.http import Request
    from credentials.models import Credential

PAGE_SIZE = 50
JOURNEYS = "signins"  # sign-ins under way, sealed, in the person's own page session
MOST_JOURNEYS = 5


class VaultForm(rows.WithMetadata):
    """A new vault, or another name and metadata of one."""

    display_name = forms.CharField(label=_("Name"), max_length=255, help_text=_("Normally whose credentials it holds."))


class SignInForm(forms.Form):
    """Where to sign in, and as which client if the server registers none by itself."""

    url = forms.CharField(
        label=_("MCP server"),
        max_length=2047,
        widget=forms.URLInput(attrs={"placeholder": "https://mcp.example.com/mcp"}),
        help_text=_("Exactly as agents name it in mcp_servers."),
    )
    name = forms.CharField(label=_("Name"), max_length=255, required=False, help_text=_("For lists; may stay empty."))
    client_id = forms.CharField(
        label=_("Client id"), max_length=1024, required=False, help_text=_("Only if the server registers no clients.")
    )
    client_secret = forms.CharField(
        label=_("Client secret"),
        max_length=512,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )


@page(Permission.BUILD)
def vault_list(request: Request) -> HttpResponse:
    found = vaults.vaults(request.acting, archived=False)
    return render(request, "vaults/list.html", {"page": Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))})


@page(Permission.ADMINISTER, "GET", "HEAD", "POST")
def vault_new(request: Request) -> HttpResponse:
    form = VaultForm(rows.sent(request))
    made = rows.attempt(request, form, lambda: vaults.create_vault(form.body(), request.acting))
    if made:
        return redirect("credentials:vault", made.pk)
    return rows.form_page(request, "vaults/form.html", {"form": form})


@page(Permission.ADMINISTER, "GET", "HEAD", "POST")
def vault_edit(request: Request, vault_id: str) -> HttpResponse:
    shown = vaults.find_vault(vault_id, request.acting)
    form = VaultForm(rows.sent(request), initial={"display_name": shown.display_name}, stored=shown.metadata)
    if rows.attempt(request, form, lambda: vaults.update_vault(vault_id, form.body(), request.acting)):
        messages.success(request, _("Saved."), "done")
        return redirect("credentials:vault", vault_id)
    return rows.form_page(request, "vaults/form.html", {"form": form, "vault": shown})


@page(Permission.ADMINISTER, "POST")
def vault_archive(request: Request, vault_id: str) -> HttpResponse:
    archived = vaults.archive_vault(vault_id, request.acting)
    said = _("%(name)s is archived and its secrets are forgotten.") % {"name": archived.display_name}
    messages.success(request, said, "done")
    return redirect("credentials:vault", vault_id)


@page(Permission.ADMINISTER, "POST")
def vault_delete(request: Request, vault_id: str) -> HttpResponse:
    name = vaults.find_vault(vault_id, request.acting).display_name
    vaults.delete_vault(vault_id, request.acting)
    messages.success(request, _("%(name)s is deleted with all it held.") % {"name": name}, "done")
    return redirect("credentials:list")


@page(Permission.BUILD)
def vault(request: Request, vault_id: str) -> HttpResponse:
    shown = vaults.find_vault(vault_id, request.acting)
    found = vaults.credentials(vault_id, request.acting, archived=True)
    context = {"vault": shown, "credentials": [_row(one) for one in found[:PAGE_SIZE]]}
    return render(request, "vaults/vault.html", context)


@page(Permission.ADMINISTER, "POST")
def credential_archive(request: Request, vault_id: str, credential_id: str) -> HttpResponse:
    vaults.archive_credential(vault_id, credential_id, request.acting)
    messages.success(request, _("The credential is archived and its secrets are forgotten."), "done")
    return redirect("credentials:vault", vault_id)


@page(Permission.ADMINISTER, "GET", "HEAD", "POST")
def sign_in(request: Request, vault_id: str) -> HttpResponse:
    """Ask the server how one signs in, then show where the person is about to be sent."""
    from credentials import mcp_signin  # the MCP client takes a second to import

    shown = vaults.find_vault(vault_id, request.acting)
    form = SignInForm(request.POST or None)
    begun = attempt(form, lambda: mcp_signin.start(vault_id, form.cleaned_data, _way_back(), request.acting))
    if begun:
        kept = dict(list(request.session.get(JOURNEYS, {}).items())[-MOST_JOURNEYS + 1 :])
        request.session[JOURNEYS] = {**kept, begun.state: begun.sealed}
        context = {"vault": shown, "url": form.cleaned_data["url"], "begun": begun}
        return render(request, "vaults/leave.html", context)
    status = 422 if request.method == "POST" else 200
    return render(request, "vaults/signin.html", {"vault": shown, "form": form}, status=status)


@page(Permission.ADMINISTER)
def signed_in(request: Request) -> HttpResponse:
    """Where the authorization server sends the person back to."""
    from credentials import mcp_signin  # the MCP client takes a second to import

    journeys = dict(request.session.get(JOURNEYS, {}))
    state = request.GET.get("state", "")
    sealed = journeys.pop(state, None)
    if sealed is None:
        raise InvalidRequest("This sign-in was not started in this browser, or it is over; start again.")
    request.session[JOURNEYS] = journeys  # an answer counts once, whatever becomes of it
    credential = mcp_signin.finish(state, sealed, request.GET.dict(), request.acting)
    messages.success(request, _("You are signed in; the credential is in the vault."), "done")
    return redirect("credentials:vault", credential.vault_id)


def _way_back() -> str:
    return f"{settings.HOLDFAST_PUBLIC_URL}{reverse('credentials:signed_in')}"


def _row(credential: Credential) -> dict[str, Any]:
    """A credential for people; nothing of it is secret."""
    auth = credential.auth
    until = auth.get("expires_at")
    return {
        "row": credential,
        "kind": {"mcp_oauth": "OAuth", "static_bearer": "Token", "environment_variable": "Variable"}[auth["type"]],
        "what": auth.get("mcp_server_url") or auth.get("secret_name"),
        "renews": bool(auth.get("refresh")),
        "is_over": until is not None and datetime.fromisoformat(until) < timezone.now(),
    }
