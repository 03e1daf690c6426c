"""Trying an OAuth credential against its server (spec advanced 1.7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from django.utils import timezone

from contract.errors import InvalidRequest
from contract.roles import Permission
from contract.times import timestamp
from credentials import crypto, handshake, masking, oauth, renewal, vaults
from credentials.dialling import AddressRefused, Reply
from credentials.handshake import Failure
from credentials.models import AccessRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contract.acting import Acting
    from contract.secret import Secret
    from credentials.auths import Auth
    from credentials.models import Credential

SHOWN = 4096
Verdict = Literal["valid", "invalid", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, and the secrets that were in use while it was."""

    verdict: Verdict
    probe: Failure | None
    refresh: oauth.Outcome | None
    secrets: tuple[Secret, ...]


def validate(vault_id: str, credential_id: str, acting: Acting) -> dict[str, Any]:
    """The API's ``vault_credential_validation``. A renewed token is kept.

    Talks to the credential's server and perhaps its token endpoint, for up to 40 seconds.
    """
    acting.require(Permission.ADMINISTER)
    credential = vaults.find_credential(vault_id, credential_id, acting)
    _check(credential)
    finding = _find(credential, acting)
    probe, refresh = finding.probe, finding.refresh
    return {
        "type": "vault_credential_validation",
        "credential_id": credential.pk,
        "vault_id": credential.vault_id,
        "validated_at": timestamp(timezone.now()),
        "has_refresh_token": bool(credential.auth["refresh"]),
        "status": finding.verdict,
        "mcp_probe": probe and {"method": probe.method, "http_response": _shown(probe.reply, finding.secrets)},
        "refresh": refresh and {"status": refresh.status, "http_response": _shown(refresh.reply, finding.secrets)},
    }


def _check(credential: Credential) -> None:
    if credential.auth["type"] != "mcp_oauth":
        raise InvalidRequest(f"Credential {credential.pk} is not of the type mcp_oauth; only those can be validated.")
    if credential.archived_at is not None:
        raise InvalidRequest(f"Credential {credential.pk} is archived; its tokens are gone.")


def _find(credential: Credential, acting: Acting) -> Finding:
    try:
        auth = vaults.auth_of(credential)
    except crypto.CannotOpen as error:
        raise InvalidRequest(f"Credential {credential.pk} can't be validated: {error}") from None
    known = tuple(auth.secrets.values())
    try:
        failure = _shake(credential, auth, acting)
    except AddressRefused:
        raise InvalidRequest(
            "auth.mcp_server_url: the host stands for an address that is not public; the operator of this "
            "installation can permit its network with ALLOW_NETWORKS"
        ) from None
    if failure is None or failure.reply is None or failure.reply.status != 401:
        return Finding(_verdict(failure), failure, None, known)
    outcome = _renew(credential, auth, acting)
    if outcome.auth is None:
        return Finding("invalid" if outcome.for_good else "unknown", failure, outcome, known)
    known += tuple(outcome.auth.secrets.values())
    try:
        failure = _shake(credential, outcome.auth, acting)
    except AddressRefused:
        failure = Failure("initialize", None)
    return Finding(_verdict(failure), failure, outcome, known)


def _verdict(failure: Failure | None) -> Verdict:
    if failure is None:
        return "valid"
    return "invalid" if failure.reply is not None and failure.reply.status in (401, 403) else "unknown"


def _shake(credential: Credential, auth: Auth, acting: Acting) -> Failure | None:
    url = auth.shown["mcp_server_url"]
    record(credential, acting, "validate", url)
    return handshake.shake(url, auth.secrets["access_token"])


def _renew(credential: Credential, used: Auth, acting: Acting) -> oauth.Outcome:
    def note(auth: Auth) -> None:
        record(credential, acting, "refresh", auth.shown["refresh"]["token_endpoint"])

    return renewal.renew(credential, used.secrets["access_token"], note)


def record(credential: Credential, acting: Acting, purpose: str, url: str) -> None:
    """Note the use of a credential's secrets before it happens."""
    AccessRecord.objects.create(
        workspace_id=acting.workspace_id,
        vault_id=credential.vault_id,
        credential_id=credential.pk,
        by=acting.label,
        purpose=purpose,
        host=urlsplit(url).hostname or "",
    )


def _shown(reply: Reply | None, secrets: Iterable[Secret]) -> dict[str, Any] | None:
    """An answer for the caller's eyes. One that isn't an error may hold tokens we don't know: its body is left out."""
    if reply is None:
        return None
    body, truncated = "", bool(reply.body)
    if reply.status >= 400:
        body, truncated = masking.excerpt(reply.body.decode(errors="replace"), secrets, SHOWN, cut=reply.cut)
    body = body.replace("\x00", "\ufffd")
    return {
        "status_code": reply.status,
        "content_type": reply.content_type,
        "body": body,
        "body_truncated": truncated,
    }
