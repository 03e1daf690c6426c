"""Why a run started no session, in the API's own words (spec advanced 13.4)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from agents.models import Agent, Environment, MemoryStore, Skill
from contract.errors import ApiError, RateLimited
from credentials.models import Vault
from sessions.models import File

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sessions.models import Deployment

log = logging.getLogger(__name__)

RATE_LIMITED = "session_rate_limited_error"
REJECTED = "session_creation_rejected_error"
UNKNOWN = "unknown_error"
GO_ON = frozenset({RATE_LIMITED, REJECTED})  # the next due time tries again; every other reason pauses a schedule
CODES = {
    "environment_archived": "environment_archived_error",
    "environment_not_found": "environment_not_found_error",
    "mcp_egress_blocked": "mcp_egress_blocked_error",
    "self_hosted_resources_unsupported": "self_hosted_resources_unsupported_error",
}


def failure(deployment: Deployment, error: Exception) -> dict[str, Any]:
    """The run's ``error`` for what session creation raised."""
    if not isinstance(error, ApiError):
        log.error("A run of deployment %s failed.", deployment.pk, exc_info=error)
        return {"type": UNKNOWN, "message": "The server met an internal error. Its log has the details."}
    if isinstance(error, RateLimited):
        return {"type": RATE_LIMITED, "message": error.message}
    code = CODES.get(error.details.get("error_code", ""))
    return {"type": code or next(_causes(deployment), REJECTED), "message": error.message}


def _causes(deployment: Deployment) -> Iterator[str]:
    """Parts of the deployment that are gone or closed, most basic first."""
    environment = Environment.objects.filter(pk=deployment.environment_id, workspace_id=deployment.workspace_id).first()
    if environment is None:
        yield "environment_not_found_error"
    elif environment.archived_at is not None:
        yield "environment_archived_error"
    yield from _agents(deployment)
    yield from _vaults(deployment)
    yield from _resources(deployment)
    if environment is not None and environment.config.get("type") == "self_hosted" and _mounts(deployment):
        yield "self_hosted_resources_unsupported_error"


def _agents(deployment: Deployment) -> Iterator[str]:
    spec = deployment.agent.versions.filter(version=deployment.agent_version).values_list("spec", flat=True).first()
    roster = ((spec or {}).get("multiagent") or {}).get("agents") or []
    listed = [one["id"] for one in roster if isinstance(one, dict) and one.get("id")]
    named = Agent.objects.filter(pk__in=listed, workspace_id=deployment.workspace_id)
    if named.exclude(archived_at=None).exists():
        yield "agent_archived_error"
    skills = [one["skill_id"] for one in (spec or {}).get("skills") or [] if one.get("type") == "custom"]
    if Skill.objects.filter(pk__in=skills, workspace_id=deployment.workspace_id).count() < len(set(skills)):
        yield "skill_not_found_error"


def _vaults(deployment: Deployment) -> Iterator[str]:
    found = Vault.objects.filter(pk__in=deployment.vault_ids, workspace_id=deployment.workspace_id)
    if len(found) < len(set(deployment.vault_ids)):
        yield "vault_not_found_error"
    if any(vault.archived_at is not None for vault in found):
        yield "vault_archived_error"


def _resources(deployment: Deployment) -> Iterator[str]:
    files = {one["file_id"] for one in deployment.resources if one["type"] == "file"}
    if File.objects.filter(pk__in=files, workspace_id=deployment.workspace_id).count() < len(files):
        yield "file_not_found_error"
    stores = {one["memory_store_id"] for one in deployment.resources if one["type"] == "memory_store"}
    found = MemoryStore.objects.filter(pk__in=stores, workspace_id=deployment.workspace_id)
    if len(found) < len(stores):
        yield "session_resource_not_found_error"
    if any(store.archived_at is not None for store in found):
        yield "memory_store_archived_error"


def _mounts(deployment: Deployment) -> bool:
    return any(one["type"] != "memory_store" for one in deployment.resources)
