"""A new access token for a refresh token (RFC 6749 section 6)."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import quote_plus, urlencode

from django.utils import timezone

from contract.secret import Secret
from contract.times import timestamp
from credentials.auths import LIMITS, Auth
from credentials.dialling import AddressRefused, Line, Reply, Unreachable

SECONDS = 10.0
LONGEST_LIFE = timedelta(days=3650)

Status = Literal["succeeded", "failed", "connect_error", "no_refresh_token"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """``auth`` is the renewed one if ``status`` is succeeded, ``reply`` the endpoint's answer if it is failed.

    ``for_good`` is true where the server said no; then asking again is no use.
    """

    status: Status
    auth: Auth | None = None
    reply: Reply | None = None
    for_good: bool = False


def renewed(auth: Auth) -> Outcome:
    """Ask the token endpoint once. The caller keeps what it gives: the old refresh token may be spent."""
    if not auth.shown["refresh"] or "refresh_token" not in auth.secrets:
        return Outcome("no_refresh_token", for_good=True)
    headers, form = _request(auth)
    try:
        with Line(SECONDS) as line:
            endpoint = auth.shown["refresh"]["token_endpoint"]
            reply = line.send("POST", endpoint, headers, urlencode(form).encode())
    except (Unreachable, AddressRefused):
        return Outcome("connect_error")
    answer = answer_of(reply)
    token = answer.get("access_token")
    if reply.status == 200 and isinstance(token, str) and 1 <= len(token) <= LIMITS["access_token"]:
        return Outcome("succeeded", auth=_with(auth, token, answer))
    refused = 400 <= reply.status < 500 and reply.status != 429
    return Outcome("failed", reply=reply, for_good=refused or (reply.status == 200 and "error" in answer))


def _request(auth: Auth) -> tuple[dict[str, str], dict[str, str]]:
    refresh = auth.shown["refresh"]
    form = {"grant_type": "refresh_token", "refresh_token": auth.secrets["refresh_token"].reveal()}
    form |= {name: refresh[name] for name in ("scope", "resource") if refresh.get(name)}
    secret = auth.secrets.get("client_secret", Secret(""))
    headers, ours = proof(refresh["token_endpoint_auth"]["type"], refresh["client_id"], secret)
    return headers, {**form, **ours}


def proof(method: str, client_id: str, secret: Secret) -> tuple[dict[str, str], dict[str, str]]:
    """Headers and form fields by which we prove to a token endpoint who we are (RFC 6749 section 2.3)."""
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    if method == "client_secret_basic":
        pair = f"{quote_plus(client_id)}:{quote_plus(secret.reveal())}"
        return {**headers, "authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}, {}
    form = {"client_id": client_id}
    return headers, {**form, "client_secret": secret.reveal()} if method == "client_secret_post" else form


def answer_of(reply: Reply) -> dict[str, Any]:
    """A token endpoint's answer; nothing if it is not a JSON object."""
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _with(auth: Auth, token: str, answer: dict[str, Any]) -> Auth:
    secrets = {**auth.secrets, "access_token": Secret(token)}
    rotated = answer.get("refresh_token")
    if isinstance(rotated, str) and rotated:
        secrets["refresh_token"] = Secret(rotated)
    shown = {name: value for name, value in auth.shown.items() if name != "expires_at"}
    life = answer.get("expires_in")
    if isinstance(life, int | float) and 0 < life <= LONGEST_LIFE.total_seconds():
        shown["expires_at"] = timestamp(timezone.now() + timedelta(seconds=life))
    return Auth(shown, secrets)
