"""``/v1/dreams`` (spec advanced 14)."""

from typing import Annotated, Any, Literal

from ninja import Body, Query, Router
from pydantic import Field

from contract.http import Request
from contract.pages import paginate
from contract.query import Range
from contract.schema import Answer, Params
from sessions.dreams import actions
from sessions.dreams.shapes import dream_shape
from sessions.models import Dream

router = Router(tags=["Dreams"])

DREAM = "beta_dream.BetaDream"
DreamAnswer = Annotated[dict[str, Any], Answer(DREAM)]
DreamPage = Annotated[dict[str, Any], Answer(DREAM, page=True)]
CreateBody = Annotated[dict[str, Any], Params("dream_create_params.DreamCreateParams")]
Status = Literal["pending", "running", "completed", "failed", "canceled"]


class ListQuery(Range):
    limit: int = Field(20, ge=1, le=100)
    page: str | None = None
    statuses: list[Status] | None = Field(None, alias="statuses[]")
    include_archived: bool = False


@router.post("", response=DreamAnswer, operation_id="dreams.create")
def create(request: Request, body: Body[CreateBody]) -> dict[str, Any]:
    return dream_shape(actions.create(body, request.acting))


@router.get("", response=DreamPage, operation_id="dreams.list")
def list_dreams(request: Request, query: Query[ListQuery]) -> dict[str, Any]:
    """Newest first."""
    rows = Dream.objects.filter(workspace_id=request.acting.workspace_id, **_filters(query))
    found = paginate(
        rows.select_related("session"),
        kind="dreams",
        fields=("created_at", "id"),
        limit=query.limit,
        page=query.page,
        bounds=query.bounds(),
    )
    return found.answer(dream_shape)


def _filters(query: ListQuery) -> dict[str, Any]:
    wanted = query.created()
    if query.statuses:
        wanted["status__in"] = query.statuses
    if not query.include_archived:
        wanted["archived_at"] = None
    return wanted


@router.get("/{dream_id}", response=DreamAnswer, operation_id="dreams.retrieve")
def retrieve(request: Request, dream_id: str) -> dict[str, Any]:
    return dream_shape(actions.find(dream_id, request.acting))


@router.post("/{dream_id}/cancel", response=DreamAnswer, operation_id="dreams.cancel")
def cancel(request: Request, dream_id: str) -> dict[str, Any]:
    return dream_shape(actions.cancel(dream_id, request.acting))


@router.post("/{dream_id}/archive", response=DreamAnswer, operation_id="dreams.archive")
def archive(request: Request, dream_id: str) -> dict[str, Any]:
    return dream_shape(actions.archive(dream_id, request.acting))
