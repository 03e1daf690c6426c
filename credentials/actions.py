"""API keys: issued once in plain text, kept as a digest, found by it, revoked for good."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

from contract import audit
from contract.errors import InvalidRequest, NotFound
from contract.roles import Permission, Role
from credentials import key_scopes
from credentials.models import ApiKey

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from django.db.models import Model

    from contract.acting import Acting

PREFIX = "sk-hf-"
RANDOM_BYTES = 32
HINT = 4
MAX_NAME = 256
TOUCH_EVERY = timedelta(minutes=1)


def digest(plain: str) -> str:
    """What is stored of a key. It holds 256 random bits, so a plain hash can't be guessed back."""
    return hashlib.sha256(plain.encode()).hexdigest()


def issue_api_key(
    *,
    workspace: Model | str,
    name: str,
    role: Role | str,
    created_by: Model | int | None,
    expires_at: datetime | None = None,
    scopes: Sequence[str] = (),
) -> tuple[ApiKey, str]:
    """A new key and its plain text, which is never to be had again.

    ``workspace`` and ``created_by`` (a user) are rows or their ids. The caller checks who may do this.
    """
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidRequest(f"name: must be 1 to {MAX_NAME} characters long")
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidRequest("expires_at: lies in the past")
    plain = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    key = ApiKey.objects.create(
        workspace_id=getattr(workspace, "pk", workspace),
        name=name,
        role=Role(role).value,
        scopes=_scopes(scopes),
        digest=digest(plain),
        hint=plain[-HINT:],
        created_by_id=getattr(created_by, "pk", created_by),
        expires_at=expires_at,
    )
    return key, plain


@audit.logged("api_key.created", "credentials.ApiKey")
def create_api_key(
    acting: Acting, *, name: str, role: Role | str, expires_at: datetime | None = None, scopes: Sequence[str] = ()
) -> tuple[ApiKey, str]:
    """A key of the caller's workspace; see ``issue_api_key``."""
    acting.require(Permission.ADMINISTER)
    return issue_api_key(
        workspace=acting.workspace_id,
        name=name,
        role=role,
        created_by=acting.user_id,
        expires_at=expires_at,
        scopes=scopes,
    )


def _scopes(wanted: Sequence[str]) -> list[str]:
    try:
        return key_scopes.check(wanted)
    except ValueError as error:
        raise InvalidRequest(f"scopes: {error}") from None


def find_api_key(plain: str) -> ApiKey | None:
    """The key with this text if it may be used now. Its last use is noted once a minute at most."""
    now = timezone.now()
    # Every request of the API asks this; to put an order and an "or" together takes Django longer than the answer.
    key = next(iter(ApiKey.objects.filter(digest=digest(plain), revoked_at=None).order_by()), None)
    if key is None or (key.expires_at is not None and key.expires_at <= now):
        return None
    if key.last_used_at is None or key.last_used_at < now - TOUCH_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return key


@audit.logged("api_key.revoked", "credentials.ApiKey", "key_id")
def revoke_api_key(key_id: str, *, acting: Acting) -> ApiKey:
    """End a key of the caller's workspace at once. Revoking twice changes nothing."""
    acting.require(Permission.ADMINISTER)
    ApiKey.objects.filter(pk=key_id, workspace_id=acting.workspace_id, revoked_at=None).update(
        revoked_at=timezone.now()
    )
    key = ApiKey.objects.filter(pk=key_id, workspace_id=acting.workspace_id).first()
    if key is None:
        raise NotFound(f"No API key {key_id!r} in this workspace.")
    return key
