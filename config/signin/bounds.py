"""How long a sign-in of the provider's people lasts: their groups there are known from their last sign-in alone."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from allauth.socialaccount.models import SocialAccount
from django.conf import settings

if TYPE_CHECKING:
    from datetime import datetime


def ends_at(user: Any, *, by_provider: bool = False) -> datetime | None:
    """When a sign-in that ``user`` makes now must end; None if the provider has no say.

    It has where the person signs in ``by_provider``, and however they do if they have no password here: a passkey
    must not outlive the groups that gave them their roles.
    """
    provider = settings.HOLDFAST_SIGNING_IN.provider
    if provider is None or (user.has_usable_password() and not by_provider):
        return None
    latest = SocialAccount.objects.filter(user=user).order_by("-last_login").first()
    return latest.last_login + timedelta(hours=provider.session_hours) if latest is not None else None
