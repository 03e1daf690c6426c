"""What outside workers may call (spec advanced 16.2). Anything that isn't in the table is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.db.models import Q

from contract.acting import Acting
from contract.errors import AuthenticationFailed, NotFound, PermissionDenied
from contract.roles import Role
from sessions.models import Resource, Session
from sessions.work import keys

if TYPE_CHECKING:
    from django.http import HttpRequest

    from sessions.models import EnvironmentKey, Work

PREFIXES = (keys.KEY_PREFIX, keys.TOKEN_PREFIX)
BAD_KEY = "The environment key is unknown, expired or revoked."
BAD_TOKEN = "The sessions token is unknown, or its work item has been stopped or given to another worker."  # noqa: S105
QUEUE = r"/v1/environments/(?P<environment>[^/]+)/work"
ITEM = rf"{QUEUE}/(?P<work>work_[^/]+)"
SESSION = r"/v1/sessions/(?P<session>[^/]+)"
SKILL = r"/v1/skills/(?P<skill>[^/]+)"
MEMORY = r"/v1/memory_stores/(?P<store>[^/]+)"
OF_SESSIONS = (
    ("GET", SESSION),
    ("GET", rf"{SESSION}/events"),
    ("POST", rf"{SESSION}/events"),
    ("GET", rf"{SESSION}/events/stream"),
    ("GET", rf"{SKILL}(/versions(/[^/]+(/content)?)?)?"),
)
OF_KEYS = (
    ("GET", rf"{QUEUE}(/poll|/stats)?"),
    ("POST", rf"{ITEM}/(ack|heartbeat|stop)"),
    *OF_SESSIONS,
)
OF_TOKENS = (
    ("POST", rf"{ITEM}/(ack|heartbeat|stop)"),
    *OF_SESSIONS,
    ("GET", rf"{MEMORY}(/.*)?"),
    ("POST", rf"{MEMORY}/memories(/[^/]+)?"),
    ("DELETE", rf"{MEMORY}/memories/[^/]+"),
)


def is_worker(plain: str) -> bool:
    """Whether a credential is a worker's, by its beginning."""
    return plain.startswith(PREFIXES)


def authenticate(request: HttpRequest, plain: str) -> Acting:
    """The worker that calls, if it may call this. Raises ``AuthenticationFailed`` or ``PermissionDenied``."""
    if plain.startswith(keys.KEY_PREFIX):
        key = keys.find_key(plain)
        if key is None:
            raise AuthenticationFailed(BAD_KEY)
        return _by_key(request, key)
    item = keys.find_item(plain)
    if item is None:
        raise AuthenticationFailed(BAD_TOKEN)
    return _by_token(request, item, keys.digest(plain))


def _by_key(request: HttpRequest, key: EnvironmentKey) -> Acting:
    named = _allowed(request, OF_KEYS, "An environment key")
    if named.get("environment") not in (None, key.environment_id):
        raise PermissionDenied("This environment key belongs to another environment.")
    sessions = Session.objects.filter(environment_id=key.environment_id)
    if named.get("session") and not sessions.filter(pk=named["session"]).exists():
        raise NotFound(f"There is no session {named['session']} in this key's environment.")
    if named.get("skill") and not sessions.filter(_uses(named["skill"])).exists():
        raise PermissionDenied("No session of this key's environment uses that skill.")
    return Acting(key.environment.workspace_id, Role.OPERATOR, f"environment key {key.name}", environment_key_id=key.pk)


def _by_token(request: HttpRequest, item: Work, digest: str) -> Acting:
    named = _allowed(request, OF_TOKENS, "A sessions token")
    if named.get("work") not in (None, item.pk) or named.get("session") not in (None, item.session_id):
        raise PermissionDenied("This sessions token belongs to another work item and its session.")
    if named.get("skill") and not Session.objects.filter(_uses(named["skill"]), pk=item.session_id).exists():
        raise PermissionDenied("The session does not use that skill.")
    if named.get("store"):
        _check_store(request, item, named["store"])
    role = Role.DEVELOPER if named.get("store") else Role.OPERATOR  # memories are written by who may build
    return Acting(
        item.environment.workspace_id,
        role,
        f"worker {item.worker or item.pk}",
        work_id=item.pk,
        session_id=item.session_id,
        token_digest=digest,
    )


def _allowed(request: HttpRequest, table: tuple[tuple[str, str], ...], who: str) -> dict[str, str]:
    for method, pattern in table:
        found = re.fullmatch(pattern, request.path) if request.method == method else None
        if found:
            return {name: value for name, value in found.groupdict().items() if value}
    raise PermissionDenied(f"{who} may not call {request.method} {request.path[:200]}; use an API key.")


def _uses(skill_id: str) -> Q:
    return Q(agent_snapshot__skills__contains=[{"skill_id": skill_id}])


def _check_store(request: HttpRequest, item: Work, store_id: str) -> None:
    mounted = Resource.objects.filter(session_id=item.session_id, kind="memory_store", store_id=store_id).first()
    if mounted is None:
        raise PermissionDenied("The session has no such memory store attached.")
    if request.method != "GET" and mounted.details.get("access") == "read_only":
        raise PermissionDenied("The session has this memory store attached for reading only.")
