"""Linking an identity at the provider of single sign-on to one's account, and unlinking it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.base.constants import AuthProcess
from django.contrib import messages
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy as _

from config.account.door import own
from config.signin import identities, oidc
from config.signin.provider import PROVIDER_ID
from contract.errors import Conflict

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

TOO_LATE = _("That took too long. Start again.")
LINKED = _("%(name)s is linked. From now on it signs you in here.")
UNLINKED = _("%(name)s is unlinked. It no longer signs you in here.")


@own("GET")
def link(request: HttpRequest) -> HttpResponse:
    """Off to the provider, to come back with an identity. It isn't linked before its owner confirms it."""
    return oidc.depart(request, PROVIDER_ID, AuthProcess.CONNECT, "")


@own("GET", "HEAD", "POST")
def link_confirm(request: HttpRequest) -> HttpResponse:
    """Who came back, and what their groups will change; then the link."""
    found = identities.waiting(request)
    if found is None:
        messages.error(request, TOO_LATE, "failed")
    elif request.method != "POST":
        changes = identities.changes(request.user, found.claims)
        return render(request, "account/link.html", {"found": found, "changes": changes})
    else:
        _try_link(request, found)
    request.session.pop(identities.WAITING, None)
    return redirect("account:account")


def _try_link(request: HttpRequest, found: identities.Waiting) -> None:
    try:
        identities.link(request.user, found)
    except Conflict as error:
        messages.error(request, error.message, "failed")
    else:
        messages.success(request, LINKED % {"name": found.name}, "done")


@own("GET", "HEAD", "POST")
def unlink(request: HttpRequest, number: int) -> HttpResponse:
    """What goes with the identity; then unlink it."""
    account = get_object_or_404(SocialAccount, pk=number, user=request.user)
    name = identities.name_of(account.uid, account.extra_data)
    if request.method != "POST":
        return render(request, "account/unlink.html", {"name": name, "lost": identities.given(account)})
    try:
        identities.unlink(account)
    except Conflict as error:
        messages.error(request, error.message, "failed")
    else:
        messages.success(request, UNLINKED % {"name": name}, "done")
    return redirect("account:account")
