"""Single sign-on with OpenID Connect: there with state, PKCE and nonce, back with a token that is checked."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.providers.base.constants import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import Http404
from django.shortcuts import redirect
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from requests import RequestException

from config.signin.adapters import refused
from config.signin.provider import PROVIDER_ID
from config.signin.throttle import LATER, Attempts
from config.signin.views import safe_next
from contract.ways import SSO
from credentials import signin_records

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

AWAY = "It could not be reached, or doesn't describe itself as OpenID Connect providers do. Try again later."


class Checked(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]  # allauth has no types
    """allauth's adapter, stricter: the provider is the one that was set, and what it says is signed by it.

    ``nonce``: what this browser was sent away with. An id token without it answers somebody else's question.
    """

    nonce = ""

    def get_provider(self) -> Any:
        provider = super().get_provider()
        provider.oauth2_adapter_class = type(self)  # it would make one of allauth's own for the way there
        return provider

    @property
    def openid_config(self) -> dict[str, Any]:
        found: Any = super().openid_config
        wanted = settings.HOLDFAST_SIGNING_IN.at.issuer
        if not isinstance(found, dict) or str(found.get("issuer", "")).rstrip("/") != wanted:
            raise OAuth2Error("The provider calls itself by another issuer than OIDC_ISSUER.")
        return dict(found)

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> Any:
        """Who came back. An id token is needed, and user information of anybody else is refused."""
        id_token = kwargs["response"].get("id_token")
        if not id_token:
            raise OAuth2Error("The provider sent no id token.")
        claims = self._decode_id_token(app, id_token)
        data = {"id_token": claims}
        if "userinfo_endpoint" in self.openid_config:
            data["userinfo"] = self._fetch_user_info(token.token)
            if data["userinfo"].get("sub") != claims.get("sub"):
                raise OAuth2Error("The user information is somebody else's.")
        return self.get_provider().sociallogin_from_response(request, data)

    def _decode_id_token(self, app: Any, id_token: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwtkit.verify_and_decode(
                credential=id_token,
                keys_url=self.openid_config["jwks_uri"],
                issuer=self.openid_config["issuer"],
                audience=app.client_id,
                lookup_kid=jwtkit.lookup_kid_jwk,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise OAuth2Error("The id token can't be read.") from error
        if not claims.get("sub"):
            raise OAuth2Error("The id token names nobody.")
        if not self.nonce or not constant_time_compare(str(claims.get("nonce", "")), self.nonce):
            raise OAuth2Error("The id token was made for another sign-in.")
        return claims


class Back(OAuth2CallbackView):  # type: ignore[misc]  # allauth has no types
    """allauth's way back, which has no nonce: ours lies in the state that it keeps in the session."""

    def _get_state(self, request: HttpRequest, provider: Any) -> Any:
        state, refusal = super()._get_state(request, provider)
        self.adapter.nonce = (state or {}).get("nonce", "")
        return state, refusal


@never_cache
@require_GET
def leave(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Off to the provider, to sign in."""
    return depart(request, provider_id, AuthProcess.LOGIN, safe_next(request))


def depart(request: HttpRequest, provider_id: str, process: str, wanted: str) -> HttpResponse:
    """Off to the provider, for ``process``; ``wanted`` is where to go after it, if anywhere."""
    adapter = _adapter(request, provider_id)
    if Attempts(request).are_too_many():
        return refused(request, LATER, 429)
    nonce = secrets.token_urlsafe(24)
    try:
        provider = adapter.get_provider()
        asked = {**provider.get_auth_params(), "nonce": nonce}
        away: HttpResponse = provider.redirect(
            request, process, next_url=wanted or None, auth_params=asked, nonce=nonce
        )
    except (OAuth2Error, RequestException, KeyError, ValueError):
        return refused(request, AWAY, 502)
    return away


@never_cache
@require_GET
def come_back(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Back from the provider with a code."""
    adapter = _adapter(request, provider_id)
    if request.user.is_authenticated and "state" not in request.GET:
        return redirect(settings.LOGIN_REDIRECT_URL)
    if Attempts(request).are_too_many():
        return refused(request, LATER, 429)
    try:
        answer: HttpResponse = Back.adapter_view(adapter)(request)
    except (KeyError, ValueError, TypeError):  # an answer that is no OpenID Connect answer
        Attempts(request).failed()
        signin_records.failed(request, SSO)
        return refused(request, AWAY, 502)
    return answer


def _adapter(request: HttpRequest, provider_id: str) -> Checked:
    if settings.HOLDFAST_SIGNING_IN.provider is None or provider_id != PROVIDER_ID:
        raise Http404("There is no single sign-on here.")
    return Checked(request, PROVIDER_ID)
