"""The ``auth`` of a credential: checked, split into what is shown and what is secret, changed (spec advanced 1.2-1.4).

``sent`` is always a request object that has the shape of the SDK's types.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from contract.errors import InvalidRequest
from contract.hosts import WANTED, is_host
from contract.secret import Secret
from contract.times import timestamp
from credentials import matching

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMITS = {  # longest value in characters; every one must hold something
    "access_token": 8192,
    "token": 8192,
    "secret_value": 4096,
    "secret_name": 255,
    "mcp_server_url": 2047,
    "refresh.refresh_token": 4096,
    "refresh.token_endpoint": 2047,
    "refresh.client_id": 1024,
    "refresh.resource": 2047,
    "refresh.scope": 8192,
    "refresh.token_endpoint_auth.client_secret": 512,
}
MAX_HOSTS = 16
VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")
# What the sandbox itself, or a program before its first line, lives by: a placeholder there would break every command.
RESERVED = re.compile(
    "PATH|HOME|SHELL|USER|PWD|TMPDIR|IFS|ENV|BASH_ENV|LANG|LC_.*|LD_.*|DYLD_.*|PYTHON(PATH|HOME|STARTUP)"
    "|NODE_(OPTIONS|EXTRA_CA_CERTS|USE_ENV_PROXY)|(HTTP|HTTPS|ALL|NO)_PROXY|SSL_CERT_(FILE|DIR)"
    "|(REQUESTS|CURL|AWS)_CA_BUNDLE|GIT_SSL_CAINFO|PIP_CERT|CARGO_HTTP_CAINFO",
    re.IGNORECASE,
)
IN_HEADERS = re.compile("[\x21-\x7e]+")
SENT_IN_HEADERS = frozenset({"token", "access_token"})
LOCATIONS = ("header", "body")
CLIENT_SECRET = "refresh.token_endpoint_auth.client_secret"  # noqa: S105  the name of a field


@dataclass(frozen=True, slots=True)
class Auth:
    """``shown`` is the response's ``auth`` object; ``secrets`` are the write-only values by their last name."""

    shown: dict[str, Any]
    secrets: dict[str, Secret]


def made(sent: Mapping[str, Any], now: datetime) -> Auth:
    """The auth of a new credential. Raises ``InvalidRequest`` naming the field."""
    if sent["type"] == "static_bearer":
        shown = {"type": "static_bearer", "mcp_server_url": _url("mcp_server_url", sent["mcp_server_url"])}
        return Auth(shown, {"token": _secret("token", sent["token"])})
    if sent["type"] == "mcp_oauth":
        return _oauth(sent, now)
    return _variable(sent)


def changed(stored: Auth, sent: Mapping[str, Any], now: datetime) -> Auth:
    """``stored`` with what ``sent`` replaces. Null means the same as leaving a field out."""
    kind = stored.shown["type"]
    if sent["type"] != kind:
        raise InvalidRequest(f"auth.type: the credential is of the type {kind}, which can't be changed")
    if kind == "static_bearer":
        return Auth(stored.shown, _replaced(stored.secrets, sent, "token"))
    return _oauth_changed(stored, sent, now) if kind == "mcp_oauth" else _variable_changed(stored, sent)


def secret_names(shown: Mapping[str, Any]) -> set[str]:
    """The secrets that a credential with this ``auth`` must have."""
    if shown["type"] == "static_bearer":
        return {"token"}
    if shown["type"] == "environment_variable":
        return {"secret_value"}
    refresh = shown["refresh"]
    client = {"client_secret"} if refresh and refresh["token_endpoint_auth"]["type"] != "none" else set()
    return {"access_token", *({"refresh_token"} if refresh else ()), *client}


def _oauth(sent: Mapping[str, Any], now: datetime) -> Auth:
    shown: dict[str, Any] = {"type": "mcp_oauth", "mcp_server_url": _url("mcp_server_url", sent["mcp_server_url"])}
    secrets = {"access_token": _secret("access_token", sent["access_token"])}
    if sent.get("expires_at") is not None:
        shown["expires_at"] = _future(sent["expires_at"], now)
    refresh, shown["refresh"] = sent.get("refresh"), None
    if refresh is not None:
        shown["refresh"] = _refresh(refresh)
        secrets["refresh_token"] = _secret("refresh.refresh_token", refresh["refresh_token"])
        if "client_secret" in refresh["token_endpoint_auth"]:
            secrets["client_secret"] = _secret(CLIENT_SECRET, refresh["token_endpoint_auth"]["client_secret"])
    return Auth(shown, secrets)


def _refresh(sent: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "client_id": _text("refresh.client_id", sent["client_id"]),
        "token_endpoint": _url("refresh.token_endpoint", sent["token_endpoint"]),
        "token_endpoint_auth": {"type": sent["token_endpoint_auth"]["type"]},
        "resource": _text("refresh.resource", sent["resource"]) if sent.get("resource") is not None else None,
        "scope": _text("refresh.scope", sent["scope"]) if sent.get("scope") is not None else None,
    }


def _oauth_changed(stored: Auth, sent: Mapping[str, Any], now: datetime) -> Auth:
    shown, secrets = dict(stored.shown), _replaced(stored.secrets, sent, "access_token")
    if sent.get("expires_at") is not None:
        shown["expires_at"] = _future(sent["expires_at"], now)
    refresh = sent.get("refresh")
    if refresh is None:
        return Auth(shown, secrets)
    if not shown["refresh"]:
        raise InvalidRequest("auth.refresh: the credential was made without a refresh token; archive it, make another")
    shown["refresh"] = dict(shown["refresh"])
    if refresh.get("scope") is not None:
        shown["refresh"]["scope"] = _text("refresh.scope", refresh["scope"]) if refresh["scope"] else None
    secrets = _replaced(secrets, refresh, "refresh_token", "refresh.")
    client = refresh.get("token_endpoint_auth")
    if client and shown["refresh"]["token_endpoint_auth"]["type"] == "none":
        raise InvalidRequest("auth.refresh.token_endpoint_auth: the credential's client has no secret to replace")
    return Auth(shown, _replaced(secrets, client or {}, "client_secret", "refresh.token_endpoint_auth."))


def _variable(sent: Mapping[str, Any]) -> Auth:
    name = _text("secret_name", sent["secret_name"])
    if not VARIABLE.fullmatch(name):
        raise InvalidRequest("auth.secret_name: must be letters, digits and underscores, and not start with a digit")
    if RESERVED.fullmatch(name):
        raise InvalidRequest(f"auth.secret_name: {name} is a variable that programs in the sandbox need themselves")
    location = sent.get("injection_location")
    chosen = dict.fromkeys(LOCATIONS, True) if location is None else {k: location.get(k, False) for k in LOCATIONS}
    shown = {
        "type": "environment_variable",
        "secret_name": name,
        "networking": _networking(sent["networking"]),
        "injection_location": _somewhere(chosen),
    }
    return Auth(shown, {"secret_value": _secret("secret_value", sent["secret_value"])})


def _variable_changed(stored: Auth, sent: Mapping[str, Any]) -> Auth:
    shown = dict(stored.shown)
    if sent.get("networking") is not None:
        shown["networking"] = _networking(sent["networking"])
    if "injection_location" in sent:
        shown["injection_location"] = _somewhere({**shown["injection_location"], **sent["injection_location"]})
    return Auth(shown, _replaced(stored.secrets, sent, "secret_value"))


def _networking(sent: Mapping[str, Any]) -> dict[str, Any]:
    if sent["type"] == "unrestricted":
        return {"type": "unrestricted"}
    hosts = sent["allowed_hosts"]
    if len(hosts) > MAX_HOSTS:
        raise InvalidRequest(f"auth.networking.allowed_hosts: at most {MAX_HOSTS} hosts are allowed")
    for index, host in enumerate(hosts):
        if not is_host(host):
            raise InvalidRequest(f"auth.networking.allowed_hosts.{index}: {WANTED}")
    return {"type": "limited", "allowed_hosts": list(hosts)}


def _somewhere(location: dict[str, bool]) -> dict[str, bool]:
    if not any(location.values()):
        raise InvalidRequest("auth.injection_location: header or body must be true")
    return location


def _replaced(secrets: Mapping[str, Secret], sent: Mapping[str, Any], name: str, prefix: str = "") -> dict[str, Secret]:
    new = sent.get(name)
    return {**secrets, name: _secret(prefix + name, new)} if new is not None else dict(secrets)


def _secret(field: str, value: str) -> Secret:
    if field in SENT_IN_HEADERS and not IN_HEADERS.fullmatch(_text(field, value)):
        raise InvalidRequest(f"auth.{field}: goes into a header, so it must be visible ASCII characters without spaces")
    return Secret(_text(field, value))


def _text(field: str, value: str) -> str:
    if not 1 <= len(value) <= LIMITS[field]:
        raise InvalidRequest(f"auth.{field}: must be 1 to {LIMITS[field]} characters long")
    return value


def _url(field: str, value: str) -> str:
    try:
        matching.split(_text(field, value))
    except matching.BadUrl as error:
        raise InvalidRequest(f"auth.{field}: {error}") from None
    return value


def _future(value: str, now: datetime) -> str:
    try:
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        shown = timestamp(moment)
    except (ValueError, OverflowError):
        raise InvalidRequest("auth.expires_at: must be an RFC 3339 time such as 2027-01-31T12:00:00Z") from None
    if moment <= now:
        raise InvalidRequest("auth.expires_at: must lie in the future")
    return shown
