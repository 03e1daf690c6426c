"""``/v1/sessions/{id}/events`` (spec core 10, 11): sending and listing. The stream is ``sessions.sse``."""

from functools import cache
from typing import Annotated, Any, Literal, get_args

from django.db.models import QuerySet
from ninja import Body, Query, Router
from pydantic import AfterValidator, Field

from contract.http import Request
from contract.pages import Page, paginate
from contract.query import Query as QueryModel
from contract.query import Range
from contract.schema import Answer, Params, sdk_type
from sessions import inbox
from sessions.events import OPS_PREFIX, is_ops, own_wire, wire
from sessions.finding import bare_session, find_thread
from sessions.models import Event

router = Router(tags=["Events"])

EVENT_TYPE = "sessions.beta_managed_agents_session_event_type.BetaManagedAgentsSessionEventType"
EVENT = "sessions.beta_managed_agents_session_event.BetaManagedAgentsSessionEvent"
SENT = "sessions.beta_managed_agents_send_session_events.BetaManagedAgentsSendSessionEvents"
EventPage = Annotated[dict[str, Any], Answer(EVENT, page=True)]
SentAnswer = Annotated[dict[str, Any], Answer(SENT)]
SendBody = Annotated[dict[str, Any], Params("sessions.event_send_params.EventSendParams")]

MAX_PAGE = 1000
MAX_TYPES = 100


@cache
def listable_types() -> frozenset[str]:
    """The 41 types the SDK knows; ours begin with ``ops.`` and are listed only when asked for."""
    return frozenset(get_args(sdk_type(EVENT_TYPE)))


def _known(event_type: str) -> str:
    if not is_ops(event_type) and event_type not in listable_types():
        raise ValueError(f"{event_type[:64]!r} is not an event type that can be listed")
    return event_type


class PageQuery(QueryModel):
    limit: int = Field(MAX_PAGE, ge=1, le=MAX_PAGE)
    page: str | None = None


class ListQuery(Range, PageQuery):
    order: Literal["asc", "desc"] = "asc"
    types: list[Annotated[str, AfterValidator(_known)]] | None = Field(None, alias="types[]", max_length=MAX_TYPES)


@router.post("/{session_id}/events", response=SentAnswer, operation_id="sessions.events.send")
def send(request: Request, session_id: str, body: Body[SendBody]) -> dict[str, Any]:
    session = bare_session(session_id, request.acting)
    return {"data": [wire(event) for event in inbox.send(session, body["events"], request.acting)]}


@router.get("/{session_id}/events", response=EventPage, operation_id="sessions.events.list")
def list_events(request: Request, session_id: str, query: Query[ListQuery]) -> dict[str, Any]:
    """In the order of ``processed_at``; events that still wait come last."""
    session = bare_session(session_id, request.acting)
    rows = Event.objects.filter(session=session, on_session=True)
    bounds = query.bounds()
    rows = rows.filter(**{f"processed_at__{name}": moment for name, moment in bounds.items()})
    rows = rows.filter(type__in=query.types) if query.types else rows.exclude(type__startswith=OPS_PREFIX)
    return _page(rows, f"events:{session_id}", query, query.order, bounds).answer(wire)


@router.get("/{session_id}/threads/{thread_id}/events", response=EventPage, operation_id="sessions.threads.events.list")
def list_thread_events(request: Request, session_id: str, thread_id: str, query: Query[PageQuery]) -> dict[str, Any]:
    """One thread's own events, oldest first."""
    thread = find_thread(session_id, thread_id, request.acting)
    rows = Event.objects.filter(session_id=session_id, thread=thread).exclude(type__startswith=OPS_PREFIX)
    return _page(rows, f"events:{thread_id}", query, "asc", {}).answer(own_wire)


def _page(
    rows: QuerySet[Event], kind: str, query: PageQuery, order: Literal["asc", "desc"], bounds: dict[str, Any]
) -> Page[Event]:
    fields = ("processed_at", "seq")
    rows = rows.defer("private")
    return paginate(rows, kind=kind, fields=fields, limit=query.limit, page=query.page, order=order, bounds=bounds)
