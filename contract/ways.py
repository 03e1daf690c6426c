"""By which ways somebody proved who they are, for the audit log and the person's own list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allauth.account.authentication import get_authentication_records

if TYPE_CHECKING:
    from django.http import HttpRequest

SSO = "single sign-on"
WORDS = {"socialaccount": SSO, "webauthn": "passkey", "totp": "code", "recovery_codes": "recovery code"}


def ways(request: HttpRequest, user: Any) -> str:
    """Such as ``password, code``; empty if nothing is known."""
    if not hasattr(request, "session"):
        return ""
    kinds = [str(one.get("type") or one.get("method")) for one in get_authentication_records(request, user)]
    return ", ".join(dict.fromkeys(WORDS.get(kind, kind) for kind in kinds))
