"""``/v1/dreams`` (spec advanced 14): checked, but not run by this version."""

from typing import Annotated, Any, Literal

from ninja import Body, Query, Router
from pydantic import Field

from contract.http import Request
from contract.query import Range
from contract.roles import Permission
from contract.schema import Answer, Params
from sessions.api import later

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
    """Refused: nothing would dream it."""
    later.refuse("Dreams", request.acting, Permission.OPERATE)


@router.get("", response=DreamPage, operation_id="dreams.list")
def list_dreams(request: Request, query: Query[ListQuery]) -> dict[str, Any]:
    """Empty."""
    return later.empty(query.page)


@router.get("/{dream_id}", response=DreamAnswer, operation_id="dreams.retrieve")
def retrieve(request: Request, dream_id: str) -> dict[str, Any]:
    later.missing("dream", dream_id)


@router.post("/{dream_id}/cancel", response=DreamAnswer, operation_id="dreams.cancel")
def cancel(request: Request, dream_id: str) -> dict[str, Any]:
    later.missing("dream", dream_id)


@router.post("/{dream_id}/archive", response=DreamAnswer, operation_id="dreams.archive")
def archive(request: Request, dream_id: str) -> dict[str, Any]:
    later.missing("dream", dream_id)
