"""Second factors: an authenticator app's codes, passkeys, and recovery codes for the day both are lost."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.flows import generate_recovery_codes
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal import flows as totp
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from allauth.mfa.webauthn.internal import auth as webauthn
from allauth.mfa.webauthn.internal import flows as passkeys
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy as _

from config.account.door import own
from config.signin import identities

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.http import HttpRequest, HttpResponse

LAST = _("Everyone here needs a second factor, and this is your last one. Add another first.")
LONGEST_NAME = 100
MOST_PASSKEYS = 20


def kinds(authenticators: Iterable[Any]) -> set[str]:
    """The types among a person's factors."""
    return {str(one.type) for one in authenticators}


def last_one(authenticators: Iterable[Any]) -> bool:
    """Whether removing a factor would leave none, where everyone needs one."""
    real = [one for one in authenticators if one.type != Authenticator.Type.RECOVERY_CODES]
    return bool(settings.HOLDFAST_SIGNING_IN.second_factor) and len(real) == 1


@own("GET", "HEAD", "POST")
def app(request: HttpRequest) -> HttpResponse:
    """Set up an authenticator app: scan, then prove it with a code."""
    user: Any = request.user
    if Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists():
        return redirect("account:account")
    form = ActivateTOTPForm(request.POST or None, user=user)
    if request.method == "POST" and form.is_valid():
        _made, codes = totp.activate_totp(request, form)
        messages.success(request, _("From now on signing in asks for a code of your app."), "done")
        return _shown(request, codes)
    drawing = get_adapter().build_totp_svg(get_adapter().build_totp_url(user, form.secret))
    picture = base64.b64encode(drawing.encode()).decode()
    context = {"form": form, "secret": form.secret, "picture": picture}
    return render(request, "account/app.html", context, status=422 if request.method == "POST" else 200)


@own("POST")
def app_remove(request: HttpRequest) -> HttpResponse:
    mine = list(Authenticator.objects.filter(user=request.user))
    found = next((one for one in mine if one.type == Authenticator.Type.TOTP), None)
    if found is not None and last_one(mine):
        messages.error(request, LAST, "failed")
    elif found is not None:
        totp.deactivate_totp(request, found)
        messages.success(request, _("The authenticator app is removed."), "done")
    return redirect("account:account")


@own("POST")
def recovery(request: HttpRequest) -> HttpResponse:
    """New recovery codes; the old ones stop working."""
    if not Authenticator.objects.filter(user=request.user).exists():
        messages.error(request, _("Add a passkey or an authenticator app first."), "failed")
        return redirect("account:account")
    return _shown(request, generate_recovery_codes(request))


@own("GET", "HEAD", "POST")
def passkey_new(request: HttpRequest) -> HttpResponse:
    """Add a passkey: good for signing in by itself, and as the second factor."""
    with transaction.atomic():  # of two that are added at once the second counts the first
        user = identities.lock(request.user.pk or 0)
        if Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN).count() >= MOST_PASSKEYS:
            said = _("You have %(count)s passkeys already. Remove one first.") % {"count": MOST_PASSKEYS}
            messages.error(request, said, "failed")
            return redirect("account:account")
        form = AddWebAuthnForm(request.POST or None, user=user)
        if request.method == "POST" and form.is_valid():
            name = str(form.cleaned_data["name"])[:LONGEST_NAME]
            _made, codes = passkeys.add_authenticator(request, name=name, credential=form.cleaned_data["credential"])
            messages.success(request, _("The passkey %(name)s is added.") % {"name": name}, "done")
            return _shown(request, codes) if codes else redirect("account:account")
    context = {"form": form, "options": webauthn.begin_registration(user, passwordless=True)}
    return render(request, "account/passkey.html", context, status=422 if request.method == "POST" else 200)


@own("POST")
def passkey_remove(request: HttpRequest, number: int) -> HttpResponse:
    with transaction.atomic():
        user = identities.lock(request.user.pk or 0)
        mine = Authenticator.objects.filter(user=user)
        found = get_object_or_404(mine, pk=number, type=Authenticator.Type.WEBAUTHN)
        if last_one(mine):
            messages.error(request, LAST, "failed")
        elif not identities.ways_in(user, without=found):
            messages.error(request, identities.LAST_WAY, "failed")
        else:
            passkeys.remove_authenticator(request, found)
            messages.success(request, _("The passkey is removed."), "done")
    return redirect("account:account")


def _shown(request: HttpRequest, codes: Any) -> HttpResponse:
    """Recovery codes, shown this once; without new ones the account page."""
    if codes is None:
        return redirect("account:account")
    return render(request, "account/codes.html", {"codes": codes.wrap().get_unused_codes()})
