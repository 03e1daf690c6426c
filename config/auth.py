"""Who calls the API: an API key in a header, never a cookie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config import rates, workers
from contract.acting import Acting
from contract.errors import AuthenticationFailed, PermissionDenied
from contract.roles import Permission, Role
from credentials import actions, key_scopes

if TYPE_CHECKING:
    from django.http import HttpRequest

MAX_KEY_LENGTH = 256
NO_KEY = "The API key is missing; send it as `Authorization: Bearer <key>` or `x-api-key: <key>`."
BAD_KEY = "The API key is unknown, expired or revoked."


def authenticate(request: HttpRequest) -> Acting:
    """The caller of an API request, or ``AuthenticationFailed``, ``PermissionDenied``, ``RateLimited``. One query."""
    plain = _key(request)
    if not plain:
        raise AuthenticationFailed(NO_KEY)
    if workers.is_worker(plain) and len(plain) <= MAX_KEY_LENGTH:
        worker = workers.authenticate(request, plain)
        rates.count(worker.environment_key_id or worker.work_id or "")
        return worker
    key = actions.find_api_key(plain) if len(plain) <= MAX_KEY_LENGTH else None
    if key is None:
        raise AuthenticationFailed(BAD_KEY)
    wanted = request.headers.get("anthropic-workspace-id")
    if wanted and wanted != key.workspace_id:
        raise PermissionDenied("anthropic-workspace-id names another workspace than the API key's.")
    acting = Acting(
        workspace_id=key.workspace_id,
        role=Role(key.role),
        label=f"API key {key.name}",
        api_key_id=key.id,
        scopes=tuple(key.scopes),
    )
    acting.require(Permission.READ)
    if not key_scopes.permits(key.scopes, request.method or "", request.path):
        raise PermissionDenied(f"This API key is limited to {', '.join(key.scopes)}.")
    rates.count(key.id)
    return acting


def api_key(request: HttpRequest) -> Acting:
    """Ninja's hook: whatever it returns allows the operation; it raises otherwise."""
    acting: Acting | None = getattr(request, "acting", None)
    if acting is None:
        acting = request.acting = authenticate(request)  # type: ignore[attr-defined]  # contract.http.Request has it
    return acting


def _key(request: HttpRequest) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.headers.get("x-api-key", "").strip()
