"""What django-allauth asks of us: whom it lets in, who they become, and how their second factors are kept."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.providers.base.constants import AuthProcess
from django.conf import settings
from django.contrib import messages
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from agents.models import Membership
from config.signin import bounds, groups, identities
from config.signin.throttle import Attempts
from contract.secret import Secret
from contract.ways import SSO, ways
from credentials import crypto, signin_records

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

SEALED_FOR = "mfa_authenticator"  # second factors are sealed before their rows have ids
SWITCHED_OFF = "This account is switched off. Ask an administrator."
LONG_AGO = _("Your last sign-in with %(name)s is too long ago. Sign in with it, so that your groups are known.")
NO_GROUP = "You are in none of the groups that may use this installation. Ask whoever looks after them to add you."


def refused(request: HttpRequest, reason: str, status: int = 403) -> HttpResponse:
    """The page that says why single sign-on ended here."""
    return render(request, "signin/refused.html", {"reason": reason}, status=status)


def is_fresh(request: HttpRequest) -> bool:
    """Whether the person proved lately who they are."""
    records = get_authentication_records(request, request.user)
    latest = max((one["at"] for one in records), default=0.0)
    return bool(time.time() - latest < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT)


class Accounts(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Nobody signs up by themselves, and our pages speak for themselves."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def add_message(self, request: HttpRequest, level: int, *args: Any, **kwargs: Any) -> None:
        """Our views say what happened."""

    def pre_login(self, request: HttpRequest, user: Any, **about: Any) -> HttpResponse | None:
        """Refuse a person of the provider who comes by a passkey too long after the provider vouched for them."""
        ends = bounds.ends_at(user)
        if ends is None or ends > timezone.now():
            answer: HttpResponse | None = super().pre_login(request, user, **about)
            return answer
        signin_records.failed(request, ways(request, user), user)
        messages.error(request, LONG_AGO % {"name": settings.HOLDFAST_SIGNING_IN.at.name}, "failed")
        return redirect("account_login")

    def login(self, request: HttpRequest, user: Any) -> None:
        super().login(request, user)
        ends = bounds.ends_at(user, by_provider=SSO in ways(request, user))
        if ends is not None:
            request.session.set_expiry(ends)

    def respond_user_inactive(self, request: HttpRequest, user: Any) -> HttpResponse:
        messages.error(request, SWITCHED_OFF, "failed")
        return redirect("account_login")

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        return not is_fresh(self.request)


class Guests(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Single sign-on: the provider says who it is, its groups say what they may do here."""

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Give a known person their roles anew; whoever is left without any stays outside."""
        sociallogin.email_addresses = []  # addresses prove nothing here
        if sociallogin.state.get("process") == AuthProcess.CONNECT:
            if sociallogin.user != request.user:
                identities.wait(request, sociallogin.account)
                raise ImmediateHttpResponse(redirect("account:link_confirm"))
            sociallogin.state |= {"process": AuthProcess.LOGIN, "next": reverse("account:account")}  # linked already
        if not sociallogin.is_existing or not sociallogin.user.is_active:
            return
        groups.apply(sociallogin.user, _roles(sociallogin))
        if not Membership.objects.filter(user=sociallogin.user).exists():
            signin_records.failed(request, SSO, sociallogin.user)
            raise ImmediateHttpResponse(refused(request, NO_GROUP))

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Whoever is in a group of ours becomes a person here."""
        if not any(_roles(sociallogin).values()):
            signin_records.failed(request, SSO)
            raise ImmediateHttpResponse(refused(request, NO_GROUP))
        return True

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> Any:
        user = super().save_user(request, sociallogin, form)
        groups.apply(user, _roles(sociallogin))
        return user

    def on_authentication_error(self, request: HttpRequest, provider: Any, **about: Any) -> None:
        Attempts(request).failed()
        if "cancel" in str(about.get("error")):
            raise ImmediateHttpResponse(redirect("account_login"))
        signin_records.failed(request, SSO)
        raise ImmediateHttpResponse(refused(request, "Its answer was not one that can be trusted. Start again."))


def _roles(sociallogin: Any) -> dict[str, Any]:
    provider = settings.HOLDFAST_SIGNING_IN.at
    return groups.roles_of(groups.groups_of(sociallogin.account.extra_data, provider), provider.grants)


class Factors(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """Secrets of second factors lie under the key ring; the last one stays where everyone needs one."""

    def encrypt(self, text: str) -> str:
        return base64.b64encode(crypto.seal(Secret(text), SEALED_FOR)).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return crypto.unseal(base64.b64decode(encrypted_text), SEALED_FOR).reveal()

    def get_totp_label(self, user: Any) -> str:
        return str(user.get_username())

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {**super().get_public_key_credential_rp_entity(), "name": "Holdfast"}

    def get_public_key_credential_user_entity(self, user: Any) -> dict[str, Any]:
        name = user.get_username()
        return {**super().get_public_key_credential_user_entity(user), "display_name": name, "name": name}
