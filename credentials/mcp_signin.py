"""Signing in to an MCP server for a vault: the authorization code flow with PKCE (RFC 6749, 7636, 8707, 9207).

What has to be remembered while the person is away is sealed; whoever starts keeps it, in their own page session.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.db import transaction
from django.utils import timezone

from contract.errors import InvalidRequest
from contract.roles import Permission
from contract.secret import Secret
from contract.times import timestamp
from credentials import crypto, discovery, matching, oauth, vaults
from credentials.dialling import AddressRefused, Line, Unreachable
from credentials.models import Credential

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contract.acting import Acting
    from credentials.discovery import Signposts

PATIENCE = timedelta(minutes=10)
METHODS = ("none", "client_secret_basic", "client_secret_post")


@dataclass(frozen=True, slots=True)
class Journey:
    """A sign-in under way."""

    state: str
    vault_id: str
    url: str
    name: str
    redirect_uri: str
    verifier: str
    issuer: str
    says_issuer: bool
    token_endpoint: str
    client_id: str
    client_secret: str
    method: str
    resource: str
    scope: str
    until: str
    workspace_id: str
    user_id: int | None


@dataclass(frozen=True, slots=True)
class Start:
    """Where to send the person, and what to keep until they are back (under ``state``)."""

    address: str
    state: str
    sealed: str

    @property
    def host(self) -> str:
        """For the person, who decides whether to go there."""
        return urlsplit(self.address).netloc


def start(vault_id: str, form: Mapping[str, str], redirect_uri: str, acting: Acting) -> Start:
    """Begin to sign in at ``form["url"]``; ``client_id`` and ``client_secret`` if we can't register ourselves.

    Talks to the server for up to a minute. Raises ``InvalidRequest`` naming the field.
    """
    acting.require(Permission.ADMINISTER)
    vault = vaults.find_vault(vault_id, acting)
    if vault.archived_at is not None:
        raise InvalidRequest(f"Vault {vault.pk} is archived and can't be changed.")
    try:
        matching.split(form["url"])
    except matching.BadUrl as error:
        raise InvalidRequest(f"url: {error}") from None
    found = discovery.signposts(form["url"])
    journey = _journey(vault.pk, form, found, redirect_uri, acting)
    sealed = crypto.seal(Secret(json.dumps(asdict(journey))), journey.state)
    return Start(_address(journey, str(found.metadata.authorization_endpoint)), journey.state, _text(sealed))


def finish(state: str, sealed: str, answer: Mapping[str, str], acting: Acting) -> Credential:
    """Take the code that the person brought back, and keep what it is exchanged for as a credential.

    An active credential for the same server is archived: its client was another one. Raises ``InvalidRequest``.
    """
    acting.require(Permission.ADMINISTER)
    journey = _opened(state, sealed, acting)
    if answer.get("error"):
        said = answer.get("error_description") or answer["error"]
        raise InvalidRequest(f"The server did not let you in: {said[:300]}")
    _check_issuer(journey, answer.get("iss"))
    if not answer.get("code"):
        raise InvalidRequest("The server sent you back without a code; start again.")
    token = _exchanged(journey, answer["code"])
    body = {"display_name": journey.name or None, "auth": _auth(journey, token)}
    with transaction.atomic():
        for old in Credential.objects.filter(
            vault_id=journey.vault_id, slot=matching.server_slot(journey.url), archived_at=None
        ):
            vaults.archive_credential(journey.vault_id, old.pk, acting)
        return vaults.create_credential(journey.vault_id, body, acting)


def _journey(vault_id: str, form: Mapping[str, str], found: Signposts, redirect_uri: str, acting: Acting) -> Journey:
    client_id, client_secret, method = form.get("client_id") or "", form.get("client_secret") or "", ""
    if client_id:
        known = found.metadata.token_endpoint_auth_methods_supported or ["client_secret_basic"]
        method = next((one for one in METHODS[1:] if one in known), METHODS[1]) if client_secret else "none"
    else:
        registered = discovery.register(found, redirect_uri)
        client_id, client_secret = registered.client_id or "", registered.client_secret or ""
        method = registered.token_endpoint_auth_method or ("client_secret_basic" if client_secret else "none")
    if not client_id or method not in METHODS or (method != "none" and not client_secret):
        raise InvalidRequest(f"url: the server wants clients to prove themselves by {method!r}, which is not supported")
    return Journey(
        state=secrets.token_urlsafe(32),
        vault_id=vault_id,
        url=form["url"],
        name=form.get("name") or "",
        redirect_uri=redirect_uri,
        verifier=secrets.token_urlsafe(64),
        issuer=str(found.metadata.issuer),
        says_issuer=bool(found.metadata.authorization_response_iss_parameter_supported),
        token_endpoint=str(found.metadata.token_endpoint),
        client_id=client_id,
        client_secret=client_secret,
        method=method,
        resource=found.resource,
        scope=found.scope or "",
        until=(timezone.now() + PATIENCE).isoformat(),
        workspace_id=acting.workspace_id,
        user_id=acting.user_id,
    )


def _address(journey: Journey, endpoint: str) -> str:
    """The address that the person is sent to."""
    digest = hashlib.sha256(journey.verifier.encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": journey.client_id,
        "redirect_uri": journey.redirect_uri,
        "state": journey.state,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": discovery.METHOD,
        "resource": journey.resource,
    }
    if journey.scope:
        asked["scope"] = journey.scope
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), *asked.items()]), fragment=""))


def _opened(state: str, sealed: str, acting: Acting) -> Journey:
    try:
        journey = Journey(**json.loads(crypto.unseal(base64.b64decode(sealed), state).reveal()))
    except (crypto.CannotOpen, ValueError, TypeError):
        raise InvalidRequest("This sign-in was not started here; start again.") from None
    if (journey.workspace_id, journey.user_id) != (acting.workspace_id, acting.user_id):
        raise InvalidRequest("This sign-in was started by somebody else; start again.")
    if timezone.now().isoformat() > journey.until:
        raise InvalidRequest("This sign-in took too long; start again.")
    return journey


def _check_issuer(journey: Journey, said: str | None) -> None:
    """Refuse an answer of another server than the one that was asked (RFC 9207)."""
    if said is not None and said != journey.issuer:
        raise InvalidRequest("The answer comes from another authorization server than was asked; start again.")
    if said is None and journey.says_issuer:
        raise InvalidRequest("The answer doesn't say which authorization server it comes from; start again.")


def _exchanged(journey: Journey, code: str) -> dict[str, Any]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": journey.redirect_uri,
        "code_verifier": journey.verifier,
        "resource": journey.resource,
    }
    headers, proof = oauth.proof(journey.method, journey.client_id, Secret(journey.client_secret))
    try:
        with Line(oauth.SECONDS) as line:
            reply = line.send("POST", journey.token_endpoint, headers, urlencode({**form, **proof}).encode())
    except (Unreachable, AddressRefused):
        raise InvalidRequest("The server's token endpoint could not be reached; start again.") from None
    answer = oauth.answer_of(reply)
    if reply.status != 200 or not isinstance(answer.get("access_token"), str):
        raise InvalidRequest(f"The server gave no token (HTTP {reply.status}); start again.")
    return answer


def _auth(journey: Journey, token: Mapping[str, Any]) -> dict[str, Any]:
    """The credential's ``auth`` as the API takes it."""
    auth: dict[str, Any] = {
        "type": "mcp_oauth",
        "mcp_server_url": journey.url,
        "access_token": token["access_token"],
    }
    life = token.get("expires_in")
    if isinstance(life, int | float) and 0 < life <= oauth.LONGEST_LIFE.total_seconds():
        auth["expires_at"] = timestamp(timezone.now() + timedelta(seconds=life))
    if isinstance(token.get("refresh_token"), str) and token["refresh_token"]:
        secret = {} if journey.method == "none" else {"client_secret": journey.client_secret}
        auth["refresh"] = {
            "client_id": journey.client_id,
            "refresh_token": token["refresh_token"],
            "token_endpoint": journey.token_endpoint,
            "token_endpoint_auth": {"type": journey.method, **secret},
            "resource": journey.resource,
        }
        if journey.scope:
            auth["refresh"]["scope"] = journey.scope
    return auth


def _text(sealed: bytes) -> str:
    return base64.b64encode(sealed).decode()
