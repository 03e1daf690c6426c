"""``/v1/x/search``, and ``/v1/x/views``: filters of the list of sessions that somebody keeps."""

from typing import Annotated, Any, Literal

from ninja import Body, Query, Router
from pydantic import BaseModel, ConfigDict, Field

from contract.http import Request
from contract.query import Query as QueryModel
from contract.times import timestamp
from sessions import filters, saved, search
from sessions.models import SavedView
from sessions.search import Hit

router = Router(tags=["Search"])

Name = Annotated[str, Field(min_length=1, max_length=saved.LONGEST_NAME)]


class SessionHit(BaseModel):
    """A session whose title answers."""

    type: Literal["session"]
    session_id: str
    title: str | None
    created_at: str


class EventHit(BaseModel):
    """An entry of a log that answers; ``snippet`` is the text around what was found."""

    type: Literal["event"]
    session_id: str
    session_title: str | None
    event_id: str
    event_type: str
    seq: int
    created_at: str
    snippet: str
    found: list[str]


class SearchAnswer(BaseModel):
    """Newest first. ``truncated``: there is more than this; add a word, or raise ``limit``.

    ``sealed``: some of what was said is sealed (``SEAL_EVENTS``) and could not be searched.
    """

    sessions: list[SessionHit]
    events: list[EventHit]
    truncated: bool
    sealed: bool


class SearchQuery(QueryModel):
    """Every word must be there, at least as a beginning; "in quotes" as they stand, -word not at all."""

    q: str = Field(min_length=1, max_length=search.LONGEST_QUESTION)
    limit: int = Field(20, ge=1, le=search.HITS)


class View(BaseModel):
    id: str
    type: Literal["session_view"]
    name: str
    filters: dict[str, str]
    created_at: str


class Views(BaseModel):
    data: list[View]


class NewView(BaseModel):
    """``filters``: q, status, agent, since, by, deployment, as in the address of the list."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    filters: dict[str, str]


class Renamed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name


class ViewDeleted(BaseModel):
    id: str
    type: Literal["session_view_deleted"]


@router.get("/search", response=SearchAnswer, operation_id="x.search")
def find(request: Request, query: Query[SearchQuery]) -> dict[str, Any]:
    """Words of titles and logs of the workspace."""
    answer = search.search(query.q, query.limit, request.acting)
    return {
        "sessions": [
            {"type": "session", "session_id": one.pk, "title": one.title, "created_at": timestamp(one.created_at)}
            for one in answer.sessions
        ],
        "events": [_hit(one) for one in answer.hits],
        "truncated": answer.truncated,
        "sealed": answer.sealed,
    }


@router.get("/views", response=Views, operation_id="x.views.list")
def list_views(request: Request) -> dict[str, Any]:
    """Those of the caller, by name."""
    return {"data": [_view(one) for one in saved.mine(request.acting)]}


@router.post("/views", response=View, operation_id="x.views.create")
def create_view(request: Request, body: Body[NewView]) -> dict[str, Any]:
    filters.check(body.filters)
    return _view(saved.save(body.name, body.filters, request.acting))


@router.post("/views/{view_id}", response=View, operation_id="x.views.update")
def rename_view(request: Request, view_id: str, body: Body[Renamed]) -> dict[str, Any]:
    return _view(saved.rename(view_id, body.name, request.acting))


@router.delete("/views/{view_id}", response=ViewDeleted, operation_id="x.views.delete")
def delete_view(request: Request, view_id: str) -> dict[str, Any]:
    saved.delete(view_id, request.acting)
    return {"id": view_id, "type": "session_view_deleted"}


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        "type": "event",
        "session_id": hit.session.pk,
        "session_title": hit.session.title,
        "event_id": hit.event_id,
        "event_type": hit.type,
        "seq": hit.seq,
        "created_at": timestamp(hit.created_at),
        "snippet": "".join(piece.text for piece in hit.pieces),
        "found": [piece.text for piece in hit.pieces if piece.found],
    }


def _view(view: SavedView) -> dict[str, Any]:
    return {
        "id": view.pk,
        "type": "session_view",
        "name": view.name,
        "filters": view.filters,
        "created_at": timestamp(view.created_at),
    }
