"""Django system checks: settings that start but should not be left as they are."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register  # noqa: A004 - Django's own name


@register("holdfast")
def check_production(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What an operator should hear about a production profile that works but is open."""
    holdfast = settings.HOLDFAST
    found: list[CheckMessage] = []
    if not holdfast.production:
        return found
    if "*" in holdfast.allowed_hosts:
        found.append(
            Warning(
                "ALLOWED_HOSTS admits every host name.",
                hint="Set ALLOWED_HOSTS to the names in PUBLIC_URL.",
                id="holdfast.W001",
            )
        )
    if holdfast.public_url.startswith("http://") and holdfast.bind not in {"127.0.0.1", "::1", "localhost"}:
        found.append(
            Warning(
                "Sign-ins and API keys travel unencrypted.",
                hint="Put a proxy with TLS in front and set PUBLIC_URL to its https address.",
                id="holdfast.W002",
            )
        )
    if holdfast.embedded_redis:
        found.append(
            Warning(
                "DATABASE_URL is set but REDIS_URL is not.",
                hint="Set REDIS_URL to your Redis or Valkey.",
                id="holdfast.W003",
            )
        )
    return found
