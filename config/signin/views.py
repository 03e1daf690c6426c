"""The pages in front of everything: sign-in by password or passkey, and the second factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from allauth.mfa.base.views import AuthenticateView
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal.flows import perform_passwordless_login
from allauth.mfa.webauthn.views import LoginWebAuthnView
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import LoginView
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache

from config.signin.throttle import LATER, Attempts
from credentials import signin_records

if TYPE_CHECKING:
    from django.contrib.auth.forms import AuthenticationForm
    from django.http import HttpRequest, HttpResponse
    from django.http.response import HttpResponseBase

UNKNOWN_PASSKEY = "This passkey is not known here, or was not used in time."


def safe_next(request: HttpRequest) -> str:
    """Where the person wanted to go, if it is a page of ours; else nothing."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    good = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if good else ""


class SignIn(LoginView):
    """The sign-in page. Who fails too often waits, even with the right password."""

    redirect_authenticated_user = True
    template_name = "signin/login.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(provider=settings.HOLDFAST_SIGNING_IN.provider, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not self._attempts().begin():
            return self.render_to_response(self.get_context_data(later=LATER), status=429)
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponseBase:  # type: ignore[override]
        self._attempts().succeeded()
        user = form.get_user()
        login = Login(user=user, redirect_url=self.get_success_url())
        response: HttpResponse = perform_password_login(self.request, {"username": user.get_username()}, login)
        return response

    def _attempts(self) -> Attempts:
        return Attempts(self.request, name=self.request.POST.get("username", ""))


@method_decorator(never_cache, name="dispatch")
class SecondFactor(AuthenticateView):  # type: ignore[misc]  # allauth has no types
    """After the password or single sign-on: a code of the app, a recovery code, or a passkey."""

    template_name = "signin/code.html"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        attempts = Attempts(request, person=self.stage.login.user.pk)
        if not attempts.begin():
            return render(request, self.template_name, self.get_context_data(later=LATER), status=429)
        if self.form.is_valid():
            attempts.succeeded()
            done: HttpResponse = self.form_valid(self.form)
            return done
        answer: HttpResponse = self.render_to_response(self.get_context_data(), status=422)
        return answer

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        kinds = set(Authenticator.objects.filter(user=self.stage.login.user).values_list("type", flat=True))
        return {
            **super().get_context_data(),
            "has_app": Authenticator.Type.TOTP in kinds,
            "has_codes": Authenticator.Type.RECOVERY_CODES in kinds,
            "has_passkey": Authenticator.Type.WEBAUTHN in kinds,
            **kwargs,
        }


@method_decorator(never_cache, name="dispatch")
class PasskeyIn(LoginWebAuthnView):  # type: ignore[misc]  # allauth has no types
    """Signing in with a passkey alone: the browser asks for the challenge, then sends what the key made of it."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if Attempts(request).are_too_many():
            messages.error(request, LATER, "failed")
            return redirect("account_login")
        answer: HttpResponse = super().post(request, *args, **kwargs)
        return answer

    def form_invalid(self, form: Any) -> HttpResponse:
        Attempts(self.request).failed()
        signin_records.failed(self.request, "passkey")
        messages.error(self.request, UNKNOWN_PASSKEY, "failed")
        return redirect("account_login")

    def form_valid(self, form: Any) -> HttpResponse:
        authenticator = form.cleaned_data["credential"]
        login = Login(user=authenticator.user, redirect_url=safe_next(self.request) or None)
        response: HttpResponse = perform_passwordless_login(self.request, authenticator, login)
        return response
