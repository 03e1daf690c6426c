"""``/v1/x/sessions/stop`` and ``/v1/x/sessions/archive``: the same for many sessions. Ours, not the hosted API's."""

from typing import Annotated, Any, Literal

from ninja import Router
from pydantic import BaseModel, ConfigDict, Field, model_validator

from contract.http import Request
from sessions import bulk

router = Router(tags=["Sessions"])


class Chosen(BaseModel):
    """Either ``session_ids``, or ``filters`` (q, status, agent, since, by, deployment, as in the address of the list).

    Filters choose the newest ``limit`` sessions that have something to stop, or that are not archived yet.
    """

    model_config = ConfigDict(extra="forbid")

    session_ids: Annotated[list[str], Field(min_length=1, max_length=bulk.MOST)] | None = None
    filters: dict[str, str] | None = None
    limit: Annotated[int, Field(ge=1, le=bulk.MOST)] | None = None
    reason: Annotated[str, Field(max_length=bulk.LONGEST_REASON)] = ""

    @model_validator(mode="after")
    def one_way(self) -> "Chosen":
        if (self.session_ids is None) == (self.filters is None):
            raise ValueError("give either session_ids or filters")
        if self.limit is not None and self.filters is None:
            raise ValueError("limit goes with filters alone")
        return self


class Failure(BaseModel):
    type: str
    message: str


class Outcome(BaseModel):
    """How it went with one session; ``error`` is null if it was done."""

    type: Literal["session_outcome"]
    session_id: str
    error: Failure | None


class Outcomes(BaseModel):
    """In the order of the ids. ``has_more``: the filters find other sessions still; call again."""

    data: list[Outcome]
    has_more: bool


@router.post("/stop", response=Outcomes, operation_id="x.sessions.stop")
def stop(request: Request, body: Chosen) -> dict[str, Any]:
    """Interrupt them. One that can't be stopped stops no other."""
    return _carried_out("stop", request, body)


@router.post("/archive", response=Outcomes, operation_id="x.sessions.archive")
def archive(request: Request, body: Chosen) -> dict[str, Any]:
    """Archive them. One that still runs is told so and stays."""
    return _carried_out("archive", request, body)


def _carried_out(what: bulk.What, request: Request, body: Chosen) -> dict[str, Any]:
    ids, more = body.session_ids, False
    if body.filters is not None:
        found = bulk.matching(what, body.filters, body.limit or bulk.MOST, request.acting)
        ids, more = found.session_ids, found.more
    outcomes = bulk.carry_out(what, ids, body.reason.strip(), request.acting) if ids else []
    return {"data": [_shape(one) for one in outcomes], "has_more": more}


def _shape(one: bulk.Outcome) -> dict[str, Any]:
    error = {"type": one.error.type, "message": one.error.message} if one.error else None
    return {"type": "session_outcome", "session_id": one.session_id, "error": error}
