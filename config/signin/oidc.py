"""Single sign-on with OpenID Connect: there with a state and PKCE, back with an id token whose signature is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.providers.base.constants import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import Http404
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from requests import RequestException

from config.signin.adapters import refused
from config.signin.provider import PROVIDER_ID
from config.signin.throttle import LATER, Attempts
from config.signin.views import safe_next

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

AWAY = "It could not be reached, or doesn't describe itself as OpenID Connect providers do. Try again later."


class Checked(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]  # allauth has no types
    """allauth's adapter, stricter: the provider is the one that was set, and what it says is signed by it."""

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
        return claims


@never_cache
@require_GET
def leave(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Off to the provider."""
    adapter = _adapter(request, provider_id)
    if Attempts(request).are_too_many():
        return refused(request, LATER, 429)
    try:
        wanted = safe_next(request) or None
        away: HttpResponse = adapter.get_provider().redirect(request, AuthProcess.LOGIN, next_url=wanted)
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
        answer: HttpResponse = OAuth2CallbackView.adapter_view(adapter)(request)
    except (KeyError, ValueError, TypeError):  # an answer that is no OpenID Connect answer
        Attempts(request).failed()
        return refused(request, AWAY, 502)
    return answer


def _adapter(request: HttpRequest, provider_id: str) -> Checked:
    if settings.HOLDFAST_SIGNING_IN.provider is None or provider_id != PROVIDER_ID:
        raise Http404("There is no single sign-on here.")
    return Checked(request, PROVIDER_ID)
