"""``/v1/x/audit``: who changed what."""

from typing import Any, Literal

from django.http import StreamingHttpResponse
from ninja import Query, Router
from pydantic import BaseModel, Field

from contract.http import Request
from contract.pages import paginate
from contract.query import Query as QueryModel
from credentials.audit_views import Form, exported, records, shape

router = Router(tags=["Audit"])


class AuditRecord(BaseModel):
    """``before`` and ``after`` hold the values that differ; a secret is never among them."""

    id: str
    type: Literal["audit_record"]
    at: str
    actor: str
    user_id: int | None
    api_key_id: str | None
    action: str
    kind: str
    object_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditPage(BaseModel):
    data: list[AuditRecord]
    next_page: str | None


class Filters(QueryModel):
    action: str | None = None
    actor: str | None = None
    object_id: str | None = None

    def chosen(self) -> dict[str, str]:
        return {"action": self.action or "", "actor": self.actor or "", "object_id": self.object_id or ""}


class ListQuery(Filters):
    limit: int = Field(50, ge=1, le=1000)
    page: str | None = None


class ExportQuery(Filters):
    format: Form = "json"


@router.get("", response=AuditPage, operation_id="x.audit.list")
def list_records(request: Request, query: Query[ListQuery]) -> dict[str, Any]:
    """Latest first. Needs the role admin. ``action=person.`` is every action that begins so: sign-ins and accounts."""
    rows = records(request.acting, query.chosen())
    found = paginate(rows, kind="audit", fields=("id",), limit=query.limit, page=query.page)
    return {"data": [shape(row) for row in found.rows], "next_page": found.next_page}


@router.get("/export", operation_id="x.audit.export")
def export(request: Request, query: Query[ExportQuery]) -> StreamingHttpResponse:
    """The latest 200,000 records, as a JSON array or as CSV. ``Holdfast-Complete: no`` says that there are more."""
    return exported(records(request.acting, query.chosen()), query.format)
