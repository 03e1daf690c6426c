"""``/v1/sessions/{id}/threads`` (spec core 12). Their events are in ``sessions.api.events``."""

from typing import Annotated, Any, Literal

from ninja import Query, Router
from pydantic import Field

from contract.http import Request
from contract.pages import paginate
from contract.query import Query as QueryModel
from contract.schema import Answer
from sessions import threads
from sessions.api.shapes import thread_shape
from sessions.finding import bare_session, find_thread
from sessions.models import Thread

router = Router(tags=["Threads"])

THREAD = "sessions.beta_managed_agents_session_thread.BetaManagedAgentsSessionThread"
ThreadAnswer = Annotated[dict[str, Any], Answer(THREAD)]
ThreadPage = Annotated[dict[str, Any], Answer(THREAD, page=True)]
MAX_PAGE = 1000


class ListQuery(QueryModel):
    limit: int = Field(MAX_PAGE, ge=1, le=MAX_PAGE)
    page: str | None = None
    statuses: list[Literal["rescheduling", "running", "idle", "terminated"]] | None = Field(None, alias="statuses[]")


@router.get("/{session_id}/threads", response=ThreadPage, operation_id="sessions.threads.list")
def list_threads(request: Request, session_id: str, query: Query[ListQuery]) -> dict[str, Any]:
    """In the order of creation: the primary one first."""
    rows = Thread.objects.filter(session=bare_session(session_id, request.acting))
    if query.statuses:
        rows = rows.filter(status__in=query.statuses)
    kind = f"threads:{session_id}"
    fields = ("created_at", "id")
    found = paginate(rows, kind=kind, fields=fields, limit=query.limit, page=query.page, order="asc")
    return found.answer(thread_shape)


@router.get("/{session_id}/threads/{thread_id}", response=ThreadAnswer, operation_id="sessions.threads.retrieve")
def retrieve(request: Request, session_id: str, thread_id: str) -> dict[str, Any]:
    return thread_shape(find_thread(session_id, thread_id, request.acting))


@router.post(
    "/{session_id}/threads/{thread_id}/archive", response=ThreadAnswer, operation_id="sessions.threads.archive"
)
def archive(request: Request, session_id: str, thread_id: str) -> dict[str, Any]:
    return thread_shape(threads.archive_thread(session_id, thread_id, request.acting))
