"""What workers identify themselves by: an environment's key, or the sessions token of the item they hold."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils import timezone

from agents.actions import find_environment
from contract import audit
from contract.errors import InvalidRequest, NotFound
from contract.roles import Permission
from sessions.models import EnvironmentKey, Work
from sessions.models.work import STOPPED

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.models import QuerySet

    from contract.acting import Acting

KEY_PREFIX = "sk-ant-oat01-"
TOKEN_PREFIX = "hfst-"  # noqa: S105  how a token begins
RANDOM_BYTES = 32
MAX_NAME = 256
TOUCH_EVERY = timedelta(minutes=1)


def digest(plain: str) -> str:
    return hashlib.sha256(plain.encode()).hexdigest()


@audit.logged("environment_key.created", "agent_sessions.EnvironmentKey")
def issue(
    environment_id: str, name: str, acting: Acting, expires_at: datetime | None = None
) -> tuple[EnvironmentKey, str]:
    """A new key of a self_hosted environment, and its text, which is never to be had again."""
    acting.require(Permission.ADMINISTER)
    environment = find_environment(environment_id, acting)
    if environment.config["type"] != "self_hosted":
        raise InvalidRequest(f"Environment {environment_id} is not self_hosted; it has no workers of its own.")
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidRequest(f"name: must be 1 to {MAX_NAME} characters long")
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidRequest("expires_at: lies in the past")
    plain = KEY_PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    key = EnvironmentKey.objects.create(
        environment=environment,
        name=name,
        digest=digest(plain),
        hint=plain[-4:],
        created_by_id=acting.user_id,
        created_at=timezone.now(),
        expires_at=expires_at,
    )
    return key, plain


@audit.logged("environment_key.revoked", "agent_sessions.EnvironmentKey", "key_id")
def revoke(environment_id: str, key_id: str, acting: Acting) -> EnvironmentKey:
    """End a key at once. A second time changes nothing."""
    acting.require(Permission.ADMINISTER)
    mine = EnvironmentKey.objects.filter(
        pk=key_id, environment_id=environment_id, environment__workspace_id=acting.workspace_id
    )
    mine.filter(revoked_at=None).update(revoked_at=timezone.now())
    key = mine.first()
    if key is None:
        raise NotFound(f"Environment {environment_id} has no key {key_id}.")
    return key


def find_key(plain: str) -> EnvironmentKey | None:
    """The environment key with this text if it may be used now; its last use is noted once a minute at most."""
    now = timezone.now()
    key = valid_keys().filter(digest=digest(plain)).select_related("environment").first()
    if key is not None and (key.last_used_at is None or key.last_used_at < now - TOUCH_EVERY):
        EnvironmentKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return key


def valid_keys() -> QuerySet[EnvironmentKey]:
    """Keys that may be used now."""
    return EnvironmentKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked_at=None)


def find_item(plain: str) -> Work | None:
    """The work item whose claim this token belongs to, while the item isn't over."""
    rows = Work.objects.filter(token_digest=digest(plain)).exclude(state=STOPPED)
    return rows.select_related("environment", "session").first()


def still_valid(acting: Acting) -> bool:
    """Whether a worker that was let in may stay: its key or its claim may have ended since."""
    if acting.environment_key_id is not None:
        return valid_keys().filter(pk=acting.environment_key_id).exists()
    if acting.work_id is not None:
        claimed = Work.objects.filter(pk=acting.work_id, token_digest=acting.token_digest)
        return claimed.exclude(state=STOPPED).exists()
    return True


def new_token() -> tuple[str, str]:
    """(digest of a new sessions token, the ``secret`` that carries it to the worker)."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    bundle = json.dumps({"sessions_token": token}, separators=(",", ":")).encode()
    return digest(token), base64.urlsafe_b64encode(bundle).decode().rstrip("=")
