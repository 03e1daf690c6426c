"""``/v1/sessions/{id}/resources`` (spec core 9.1)."""

from typing import Annotated, Any

from ninja import Body, Query, Router
from pydantic import Field

from contract.http import Request
from contract.pages import paginate
from contract.query import Query as QueryModel
from contract.schema import Answer, Params
from sessions import resources
from sessions.api.shapes import resource_shape
from sessions.finding import bare_session
from sessions.models import Resource

router = Router(tags=["Resources"])

FILE = "sessions.beta_managed_agents_file_resource.BetaManagedAgentsFileResource"
RESOURCE = "sessions.beta_managed_agents_session_resource.BetaManagedAgentsSessionResource"
DELETED = "sessions.beta_managed_agents_delete_session_resource.BetaManagedAgentsDeleteSessionResource"
FileAnswer = Annotated[dict[str, Any], Answer(FILE)]
ResourceAnswer = Annotated[dict[str, Any], Answer(RESOURCE)]
ResourcePage = Annotated[dict[str, Any], Answer(RESOURCE, page=True)]
DeleteAnswer = Annotated[dict[str, Any], Answer(DELETED)]
AddBody = Annotated[dict[str, Any], Params("sessions.resource_add_params.ResourceAddParams")]
UpdateBody = Annotated[
    dict[str, Any], Params("sessions.resource_update_params.ResourceUpdateParams", elsewhere=frozenset({"session_id"}))
]
MAX_PAGE = 1000


class ListQuery(QueryModel):
    limit: int = Field(MAX_PAGE, ge=1, le=MAX_PAGE)
    page: str | None = None


@router.post("/{session_id}/resources", response=FileAnswer, operation_id="sessions.resources.add")
def add(request: Request, session_id: str, body: Body[AddBody]) -> dict[str, Any]:
    return resource_shape(resources.add_resource(session_id, body, request.acting))


@router.get("/{session_id}/resources", response=ResourcePage, operation_id="sessions.resources.list")
def list_resources(request: Request, session_id: str, query: Query[ListQuery]) -> dict[str, Any]:
    """In the order of mounting; all of them fit one page unless ``limit`` says otherwise."""
    rows = Resource.objects.filter(session=bare_session(session_id, request.acting))
    kind = f"resources:{session_id}"
    fields = ("created_at", "id")
    found = paginate(rows, kind=kind, fields=fields, limit=query.limit, page=query.page, order="asc")
    return found.answer(resource_shape)


@router.get(
    "/{session_id}/resources/{resource_id}", response=ResourceAnswer, operation_id="sessions.resources.retrieve"
)
def retrieve(request: Request, session_id: str, resource_id: str) -> dict[str, Any]:
    return resource_shape(resources.find_resource(bare_session(session_id, request.acting), resource_id))


@router.post("/{session_id}/resources/{resource_id}", response=ResourceAnswer, operation_id="sessions.resources.update")
def update(request: Request, session_id: str, resource_id: str, body: Body[UpdateBody]) -> dict[str, Any]:
    """Rotate a repository's token."""
    return resource_shape(resources.rotate_token(session_id, resource_id, body["authorization_token"], request.acting))


@router.delete("/{session_id}/resources/{resource_id}", response=DeleteAnswer, operation_id="sessions.resources.delete")
def delete(request: Request, session_id: str, resource_id: str) -> dict[str, Any]:
    resources.remove_resource(session_id, resource_id, request.acting)
    return {"id": resource_id, "type": "session_resource_deleted"}
