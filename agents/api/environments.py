"""``/v1/environments`` (spec core 7)."""

from typing import Annotated, Any

from ninja import Body, Query, Router
from pydantic import Field

from agents import actions
from agents.api.shapes import environment_shape
from agents.models import Environment
from contract.http import Request
from contract.pages import paginate
from contract.query import Query as QueryModel
from contract.schema import Answer, Params

router = Router(tags=["Environments"])

ENVIRONMENT = "beta_environment.BetaEnvironment"
EnvironmentAnswer = Annotated[dict[str, Any], Answer(ENVIRONMENT)]
EnvironmentPage = Annotated[dict[str, Any], Answer(ENVIRONMENT, page=True)]
DeleteAnswer = Annotated[dict[str, Any], Answer("beta_environment_delete_response.BetaEnvironmentDeleteResponse")]
CreateBody = Annotated[dict[str, Any], Params("environment_create_params.EnvironmentCreateParams")]
UpdateBody = Annotated[dict[str, Any], Params("environment_update_params.EnvironmentUpdateParams")]


class ListQuery(QueryModel):
    limit: int = Field(20, ge=1, le=100)
    page: str | None = None
    include_archived: bool = False


@router.post("", response=EnvironmentAnswer, operation_id="environments.create")
def create(request: Request, body: Body[CreateBody]) -> dict[str, Any]:
    return environment_shape(actions.create_environment(body, request.acting))


@router.get("", response=EnvironmentPage, operation_id="environments.list")
def list_environments(request: Request, query: Query[ListQuery]) -> dict[str, Any]:
    """Newest first."""
    rows = Environment.objects.filter(workspace_id=request.acting.workspace_id)
    if not query.include_archived:
        rows = rows.filter(archived_at=None)
    found = paginate(rows, kind="environments", fields=("created_at", "id"), limit=query.limit, page=query.page)
    return found.answer(environment_shape)


@router.get("/{environment_id}", response=EnvironmentAnswer, operation_id="environments.retrieve")
def retrieve(request: Request, environment_id: str) -> dict[str, Any]:
    return environment_shape(actions.find_environment(environment_id, request.acting))


@router.post("/{environment_id}", response=EnvironmentAnswer, operation_id="environments.update")
def update(request: Request, environment_id: str, body: Body[UpdateBody]) -> dict[str, Any]:
    return environment_shape(actions.update_environment(environment_id, body, request.acting))


@router.delete("/{environment_id}", response=DeleteAnswer, operation_id="environments.delete")
def delete(request: Request, environment_id: str) -> dict[str, Any]:
    actions.delete_environment(environment_id, request.acting)
    return {"id": environment_id, "type": "environment_deleted"}


@router.post("/{environment_id}/archive", response=EnvironmentAnswer, operation_id="environments.archive")
def archive(request: Request, environment_id: str) -> dict[str, Any]:
    return environment_shape(actions.archive_environment(environment_id, request.acting))
