"""An authenticator app, after RFC 6238."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from typing import Any


def code(secret: str, *, steps: int = 0) -> str:
    """What the app shows now, or ``steps`` half minutes later."""
    counter = int(time.time()) // 30 + steps
    digest = hmac.new(base64.b32decode(secret), counter.to_bytes(8, "big"), hashlib.sha1).digest()
    place = digest[-1] & 15
    return f"{(int.from_bytes(digest[place : place + 4], 'big') & 0x7FFFFFFF) % 10**6:06}"


def set_up_app(client: Any) -> tuple[str, list[str]]:
    """Set up an app on a fresh sign-in: its secret, and the recovery codes that were shown."""
    secret = re.search(r'id="secret">([A-Z2-7]+)<', client.get("/account/codes/app/").content.decode()).group(1)  # type: ignore[union-attr]
    shown = client.post("/account/codes/app/", {"code": code(secret)}).content.decode()
    block = re.search(r'id="codes"[^>]*>([^<]+)<', shown)
    assert block is not None, "no recovery codes were shown"
    return secret, block.group(1).split()
