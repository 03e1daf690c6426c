"""Signing by the Standard Webhooks scheme, which the SDK's ``webhooks.unwrap()`` checks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from contract.secret import Secret

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> Secret:
    return Secret(PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode())


def headers(secret: Secret, event_id: str, timestamp: int, body: str) -> dict[str, str]:
    """The three headers of one attempt. ``timestamp`` is in whole seconds of unix time."""
    key = base64.b64decode(secret.reveal().removeprefix(PREFIX))
    signed = hmac.new(key, f"{event_id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + base64.b64encode(signed).decode(),
    }
