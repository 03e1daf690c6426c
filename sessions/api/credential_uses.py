"""``/v1/x/credentials``: what a credential was used for, what would break without it. Ours, not the hosted API's."""

from dataclasses import asdict
from typing import Any

from ninja import Query, Router
from pydantic import Field

from contract.http import Request
from contract.query import Query as QueryModel
from contract.times import timestamp
from credentials.models import AccessRecord
from sessions import impact

router = Router(tags=["Credential uses"])

Answer = dict[str, Any]


class UsesQuery(QueryModel):
    limit: int = Field(100, ge=1, le=1000)


@router.get("/{credential_id}/uses", response=Answer, operation_id="x.credentials.uses")
def uses(request: Request, credential_id: str, query: Query[UsesQuery]) -> Answer:
    """Newest first: who, in which session, for what, towards which host, when. Never a value."""
    return {"data": [use_shape(row) for row in impact.uses(credential_id, request.acting, query.limit)]}


@router.get("/{credential_id}/impact", response=Answer, operation_id="x.credentials.impact")
def of_credential(request: Request, credential_id: str) -> Answer:
    """The sessions and deployments that it serves now; ``instead`` names what would serve them without it."""
    found = impact.of_credential(credential_id, request.acting)
    return {
        "credential_id": found.credential.pk,
        "vault_id": found.credential.vault_id,
        "sessions": [asdict(one) for one in found.sessions],
        "deployments": [asdict(one) for one in found.deployments],
        "more_sessions": found.more,
        "uses": found.uses,
    }


def use_shape(row: AccessRecord) -> dict[str, Any]:
    fields = ("vault_id", "credential_id", "by", "session_id", "purpose", "tool", "host", "method", "rule", "event_id")
    return {**{field: getattr(row, field) for field in fields}, "at": timestamp(row.created_at)}
