"""Pages of one credential: what it is, what it was used for, what would break without it; making and changing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _

from contract import rows
from contract.door import page
from contract.roles import Permission
from credentials import scopes, vaults
from credentials.credential_forms import KINDS, CredentialChangeForm, CredentialForm
from sessions import impact, liveparts

if TYPE_CHECKING:
    from django.http import HttpResponse

    from contract.http import Request


@page(Permission.BUILD)
def credential(request: Request, credential_id: str) -> HttpResponse:
    found = impact.of_credential(credential_id, request.acting)
    context = {
        "credential": found.credential,
        "impact": found,
        **liveparts.uses(credential_id, request.acting),
        "scope": scopes.described(found.credential.scope).removeprefix("scope: "),
        "kind": dict(KINDS).get(found.credential.auth["type"], _("A sign-in at an MCP server")),
    }
    return render(request, "credentials/credential.html", context)


@page(Permission.ADMINISTER, "GET", "HEAD", "POST")
def credential_new(request: Request, vault_id: str) -> HttpResponse:
    vault = vaults.find_vault(vault_id, request.acting)
    form = CredentialForm(rows.sent(request))
    made = rows.attempt(request, form, lambda: vaults.create_credential(vault_id, form.body(), request.acting))
    if made:
        return redirect("sessions:credential", made.pk)
    context = {"form": form, "vault": vault}
    return rows.form_page(request, "credentials/form.html", context)


@page(Permission.ADMINISTER, "GET", "HEAD", "POST")
def credential_edit(request: Request, credential_id: str) -> HttpResponse:
    row = impact.find(credential_id, request.acting)
    form = CredentialChangeForm(rows.sent(request), row)
    if rows.attempt(request, form, lambda: vaults.update_credential(row.vault_id, row.pk, form.body(), request.acting)):
        messages.success(request, _("Saved."), "done")
        return redirect("sessions:credential", row.pk)
    context = {"form": form, "vault": row.vault, "credential": row}
    return rows.form_page(request, "credentials/form.html", context)


@page(Permission.ADMINISTER, "POST")
def credential_revoke(request: Request, credential_id: str) -> HttpResponse:
    """Archive it: its secret is forgotten."""
    row = impact.find(credential_id, request.acting)
    vaults.archive_credential(row.vault_id, row.pk, request.acting)
    messages.success(request, _("Revoked: its secret is forgotten."), "done")
    return redirect("sessions:credential", row.pk)
