"""The provider of single sign-on as django-allauth wants it in its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from config.signin.settings import Provider

PROVIDER_ID = "sso"


def registered(provider: Provider | None) -> dict[str, Any]:
    """``SOCIALACCOUNT_PROVIDERS``: none, or the one OpenID Connect provider, with PKCE."""
    if provider is None:
        return {}
    app = {
        "provider_id": PROVIDER_ID,
        "name": provider.name,
        "client_id": provider.client_id,
        "secret": provider.client_secret.reveal(),
        "settings": {"server_url": provider.issuer},
    }
    return {"openid_connect": {"APPS": [app], "SCOPE": list(provider.scopes), "OAUTH_PKCE_ENABLED": True}}
