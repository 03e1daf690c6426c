"""``/v1/sessions`` (spec core 8)."""

from typing import Annotated, Any, Literal

from ninja import Body, Query, Router
from pydantic import Field

from contract.http import Request
from contract.pages import paginate
from contract.query import Range
from contract.schema import Answer
from sessions import actions, bodies
from sessions.api.shapes import session_shape
from sessions.finding import find_session, sessions_of

router = Router(tags=["Sessions"])

SESSION = "beta_managed_agents_session.BetaManagedAgentsSession"
SessionAnswer = Annotated[dict[str, Any], Answer(SESSION)]
SessionPage = Annotated[dict[str, Any], Answer(SESSION, page=True)]
DeleteAnswer = Annotated[dict[str, Any], Answer("beta_managed_agents_deleted_session.BetaManagedAgentsDeletedSession")]
CreateBody = Annotated[dict[str, Any], bodies.SESSION_CREATE]
UpdateBody = Annotated[dict[str, Any], bodies.SESSION_UPDATE]


class ListQuery(Range):
    limit: int = Field(20, ge=1, le=100)
    page: str | None = None
    order: Literal["asc", "desc"] = "desc"
    agent_id: str | None = None
    agent_version: int | None = Field(None, ge=1, le=2**31 - 1)
    deployment_id: str | None = None
    memory_store_id: str | None = None
    statuses: list[Literal["rescheduling", "running", "idle", "terminated"]] | None = Field(None, alias="statuses[]")
    include_archived: bool = False


@router.post("", response=SessionAnswer, operation_id="sessions.create")
def create(request: Request, body: Body[CreateBody]) -> dict[str, Any]:
    return session_shape(actions.create_session(body, request.acting))


@router.get("", response=SessionPage, operation_id="sessions.list")
def list_sessions(request: Request, query: Query[ListQuery]) -> dict[str, Any]:
    """Newest first unless ``order=asc``; pages forward and back."""
    bounds = query.bounds()
    rows = sessions_of(request.acting).filter(**_filters(query))
    found = paginate(
        rows,
        kind="sessions",
        fields=("created_at", "id"),
        limit=query.limit,
        page=query.page,
        order=query.order,
        bounds=bounds,
    )
    return found.answer(session_shape, both=True)


def _filters(query: ListQuery) -> dict[str, Any]:
    wanted = query.created()
    if query.agent_id is not None:
        wanted["agent_id"] = query.agent_id
        if query.agent_version is not None:
            wanted["agent_version"] = query.agent_version
    if query.memory_store_id is not None:
        wanted["resources__store_id"] = query.memory_store_id
    if query.deployment_id is not None:
        wanted["deployment_id"] = query.deployment_id
    if query.statuses:
        wanted["status__in"] = query.statuses
    if not query.include_archived:
        wanted["archived_at"] = None
    return wanted


@router.get("/{session_id}", response=SessionAnswer, operation_id="sessions.retrieve")
def retrieve(request: Request, session_id: str) -> dict[str, Any]:
    return session_shape(find_session(session_id, request.acting))


@router.post("/{session_id}", response=SessionAnswer, operation_id="sessions.update")
def update(request: Request, session_id: str, body: Body[UpdateBody]) -> dict[str, Any]:
    return session_shape(actions.update_session(session_id, body, request.acting))


@router.delete("/{session_id}", response=DeleteAnswer, operation_id="sessions.delete")
def delete(request: Request, session_id: str) -> dict[str, Any]:
    actions.delete_session(session_id, request.acting)
    return {"id": session_id, "type": "session_deleted"}


@router.post("/{session_id}/archive", response=SessionAnswer, operation_id="sessions.archive")
def archive(request: Request, session_id: str) -> dict[str, Any]:
    return session_shape(actions.archive_session(session_id, request.acting))
