"""What would break if a credential were revoked: whom it serves, and what would serve them instead."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Max
from django.utils import timezone

from contract.errors import NotFound
from contract.roles import Permission
from contract.times import timestamp
from credentials import matching, scopes
from credentials.models import AccessRecord, Credential
from sessions.models import Deployment, Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from contract.acting import Acting

MOST = 200
RECENT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Served:
    """Something that a credential serves. ``instead`` is the credential that would take its place, if there is one."""

    id: str
    name: str
    state: str
    instead: str | None


@dataclass(frozen=True, slots=True)
class Impact:
    """``more``: there are more sessions than the newest, which are listed. ``uses``: of the last 30 days, by host."""

    credential: Credential
    sessions: list[Served]
    deployments: list[Served]
    more: bool
    uses: list[dict[str, Any]]


def find(credential_id: str, acting: Acting) -> Credential:
    """A credential of the caller's workspace."""
    acting.require(Permission.BUILD)
    rows = Credential.objects.select_related("vault").filter(vault__workspace_id=acting.workspace_id)
    row = rows.defer("sealed").filter(pk=credential_id).first()
    if row is None:
        raise NotFound(f"There is no credential {credential_id} in this workspace.")
    return row


def of_credential(credential_id: str, acting: Acting) -> Impact:
    """What depends on a credential now."""
    credential = find(credential_id, acting)
    if credential.archived_at is not None:
        return Impact(credential, [], [], False, _uses(credential))
    named = {"workspace_id": acting.workspace_id, "vault_ids__contains": [credential.vault_id], "archived_at": None}
    rows = list(Session.objects.filter(**named).exclude(status="terminated")[: MOST + 1])
    plans = list(Deployment.objects.filter(**named)[:MOST])
    lists = [*(row.vault_ids for row in rows), *(plan.vault_ids for plan in plans)]
    others = _others(credential, [vault for vaults in lists for vault in vaults])
    sessions = [
        Served(row.pk, str(row), row.status, _instead(credential, others, row.vault_ids))
        for row in rows[:MOST]
        if _wins(credential, others, row.vault_ids, row.agent_id) and _needs(credential, row.agent_snapshot)
    ]
    deployments = [
        Served(row.pk, row.name, "", _instead(credential, others, row.vault_ids))
        for row in plans
        if _wins(credential, others, row.vault_ids, row.agent_id)
    ]
    return Impact(credential, sessions, deployments, len(rows) > MOST, _uses(credential))


def uses(credential_id: str, acting: Acting, limit: int) -> list[AccessRecord]:
    """The newest uses of a credential."""
    find(credential_id, acting)
    rows = AccessRecord.objects.filter(workspace_id=acting.workspace_id, credential_id=credential_id)
    return list(rows[:limit])


def _others(credential: Credential, vault_ids: Iterable[str]) -> dict[str, Credential]:
    """Active credentials for the same server or variable, by their vault."""
    rows = Credential.objects.filter(slot=credential.slot, archived_at=None, vault_id__in=set(vault_ids))
    return {row.vault_id: row for row in rows.exclude(pk=credential.pk).defer("sealed")}


def _wins(credential: Credential, others: Mapping[str, Credential], vault_ids: Sequence[str], agent_id: str) -> bool:
    """Whether this is the credential that serves now: no earlier vault has one, and its scope holds the agent."""
    if scopes.excluded(credential.scope, agent=agent_id) is not None:
        return False
    earlier = vault_ids[: vault_ids.index(credential.vault_id)]
    return not any(vault in others for vault in earlier)


def _instead(credential: Credential, others: Mapping[str, Credential], vault_ids: Sequence[str]) -> str | None:
    later = vault_ids[vault_ids.index(credential.vault_id) + 1 :]
    return next((others[vault].pk for vault in later if vault in others), None)


def _needs(credential: Credential, agent: Mapping[str, Any]) -> bool:
    """A variable is in every sandbox; a server's credential is needed by agents that have that server."""
    if credential.auth["type"] == "environment_variable":
        return True
    return any(matching.server_slot(server["url"]) == credential.slot for server in agent.get("mcp_servers") or ())


def _uses(credential: Credential) -> list[dict[str, Any]]:
    rows = AccessRecord.objects.filter(credential_id=credential.pk, created_at__gt=timezone.now() - RECENT)
    grouped = rows.order_by().values("host", "tool", "purpose").annotate(count=Count("pk"), last_at=Max("created_at"))
    return [{**row, "last_at": timestamp(row["last_at"])} for row in grouped.order_by("-last_at")[:MOST]]
