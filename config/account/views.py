"""The account page, the password, the sign-ins, and proving again who one is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allauth.account.internal.flows.reauthentication import reauthenticate_by_password
from allauth.mfa.base.forms import ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import ReauthenticateWebAuthnForm
from allauth.mfa.webauthn.internal import auth as webauthn
from allauth.mfa.webauthn.internal.flows import reauthenticate as reauthenticate_by_passkey
from allauth.socialaccount.models import SocialAccount
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _

from agents import people
from agents.models import Membership
from config.account.door import own
from config.account.factors import kinds, last_one
from config.middleware import CHOSEN_WORKSPACE, lacks_factor
from config.signin import identities
from config.signin.throttle import LATER, Attempts
from config.signin.views import safe_next
from contract import audit

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

NO_HOST = _("Passkeys need a host name. Open this installation by one, such as localhost, to add a passkey.")


class PasswordForm(forms.Form):
    """The password once more."""

    password = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        self.user = user
        super().__init__(*args, **kwargs)

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if not self.user.check_password(password):
            raise forms.ValidationError(_("This is not your password."))
        return password


@own("POST", fresh=False)
def choose_workspace(request: HttpRequest, workspace_id: str) -> HttpResponse:
    """Show another workspace of one's own from now on, in this sign-in. 404 for any other."""
    user: Any = request.user
    chosen = get_object_or_404(Membership, user=user, workspace_id=workspace_id)
    request.session[CHOSEN_WORKSPACE] = chosen.workspace_id
    return redirect("sessions:overview")


@own("GET", "HEAD", fresh=False)
def account(request: HttpRequest) -> HttpResponse:
    """Everything about one's own account."""
    user: Any = request.user
    mine = Authenticator.objects.filter(user=user).order_by("created_at")
    found = kinds(mine)
    ins = people.sign_ins(user.pk, request.session.session_key)
    context = {
        "memberships": Membership.objects.filter(user=user).select_related("workspace").order_by("created_at"),
        "here": request.acting.workspace_id if getattr(request, "acting", None) else None,  # type: ignore[attr-defined]
        "has_app": "totp" in found,
        "passkeys": [one for one in mine if one.type == Authenticator.Type.WEBAUTHN],
        "codes_left": next((len(one.wrap().get_unused_codes()) for one in mine if one.type == "recovery_codes"), None),
        "sign_ins": [{"row": one, "at": parse_datetime(one.at) if one.at else None} for one in ins],
        "identities": [
            {"row": one, "name": identities.name_of(one.uid, one.extra_data)}
            for one in SocialAccount.objects.filter(user=user).order_by("date_joined")
        ],
        "provider": settings.HOLDFAST_SIGNING_IN.provider,
        "lacks_factor": lacks_factor(user),
        "last_one": last_one(mine),
        "no_host": NO_HOST if _is_address(request.get_host()) else "",
    }
    return render(request, "account/account.html", context)


@own("GET", "HEAD", "POST")
def password(request: HttpRequest) -> HttpResponse:
    """A new password. The other sign-ins end."""
    user: Any = request.user
    if not user.has_usable_password():
        messages.error(request, _("You sign in at the provider of single sign-on and have no password here."), "failed")
        return redirect("account:account")
    form = PasswordChangeForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        update_session_auth_hash(request, user)
        people.sign_out(user.pk, keep=request.session.session_key)
        audit.of_person(user, "person.password_changed")
        messages.success(request, _("Your password is changed. Everywhere else you are signed out."), "done")
        return redirect("account:account")
    return render(request, "account/password.html", {"form": form}, status=422 if request.method == "POST" else 200)


@own("POST", fresh=False)
def end_sign_ins(request: HttpRequest) -> HttpResponse:
    """End the sign-in that ``ref`` names, or without it all but this one."""
    ref = request.POST.get("ref", "")
    ended = people.sign_out(request.user.pk or 0, keep=request.session.session_key, ref=ref)
    if ended:
        audit.of_person(request.user, "person.sign_ins_ended", {"sign_ins": ended})
    said = _("This sign-in has ended.") if ref and ended else _("Everywhere else you are signed out.")
    messages.success(request, said if ended else _("There was nothing to end."), "done")
    return redirect("account:account")


@own("GET", "HEAD", "POST", fresh=False)
def confirm(request: HttpRequest) -> HttpResponse:
    """Prove again who one is: by a second factor if there is one, else by the password."""
    user: Any = request.user
    found = kinds(Authenticator.objects.filter(user=user))
    attempts = Attempts(request, person=user.pk)
    code = ReauthenticateForm(request.POST if "code" in request.POST else None, user=user)
    typed = PasswordForm(request.POST if "password" in request.POST else None, user=user)
    key = ReauthenticateWebAuthnForm(request.POST if "credential" in request.POST else None, user=user)
    later, wrong = "", False
    if request.method == "POST":
        later = "" if attempts.begin() else LATER
        if not later and _is_proved(request, bool(found), code, typed, key):
            attempts.succeeded()
            return redirect(safe_next(request) or reverse("account:account"))
        wrong = not later
    context = {
        "later": later,
        "wrong": wrong,
        "next": safe_next(request),
        "has_codes": bool(found & {"totp", "recovery_codes"}),
        "options": webauthn.begin_authentication(user) if "webauthn" in found else None,
        "has_password": not found and user.has_usable_password(),
        "provider": settings.HOLDFAST_SIGNING_IN.provider,
    }
    return render(request, "account/confirm.html", context, status=429 if later else 422 if wrong else 200)


def _is_proved(request: HttpRequest, has_factor: bool, code: Any, typed: PasswordForm, key: Any) -> bool:
    """Whether one of the forms that were sent is right. A password alone is not enough where there is more."""
    if code.is_bound and code.is_valid():
        code.save()
        return True
    if key.is_bound and key.is_valid():
        reauthenticate_by_passkey(request, key.cleaned_data["credential"])
        return True
    if not has_factor and typed.is_bound and typed.is_valid():
        reauthenticate_by_password(request)
        return True
    return False


def _is_address(host: str) -> bool:
    """Browsers make passkeys for names only."""
    return host.startswith("[") or host.partition(":")[0].replace(".", "").isdigit()
