"""``/v1/x/sessions/{id}/fork``: begin again from any event. Ours, not the hosted API's."""

from typing import Annotated, Any

from ninja import Query, Router
from pydantic import Field

from contract.http import Request
from contract.limits import Ours
from contract.query import Query as QueryModel
from contract.roles import Permission
from sessions import forks
from sessions.api.shapes import session_shape
from sessions.finding import bare_session

router = Router(tags=["Forks"])
At = Annotated[int, Field(ge=1, lt=2**63)] | Annotated[str, Field(pattern="^sevt_", max_length=64)]


class ForkBody(Ours):
    """Where to begin and what to change; see ``sessions.forks.fork``."""

    at: At | None = None
    """The number or the id of the last event to take over; the newest one unless given."""
    agent_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    agent_version: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    model: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    system: Annotated[str, Field(min_length=1, max_length=100_000)] | None = None
    prompt: Annotated[str, Field(min_length=1, max_length=200_000)] | None = None
    title: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    leave_out: Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=608)] | None = None
    """Vaults, memory stores (by their ids), files and repositories (by the resources') that the fork shall not have."""
    rewind: bool = False
    """Archive the session that is forked."""


class PreviewQuery(QueryModel):
    at: At


@router.get("/sessions/{session_id}/fork", response=dict[str, Any], operation_id="x.sessions.fork.preview")
def preview(request: Request, session_id: str, query: Query[PreviewQuery]) -> dict[str, Any]:
    """What a fork at this event would begin with."""
    request.acting.require(Permission.READ)
    return _shape(forks.place(bare_session(session_id, request.acting), query.at))


@router.post("/sessions/{session_id}/fork", response=dict[str, Any], operation_id="x.sessions.fork")
def fork(request: Request, session_id: str, body: ForkBody) -> dict[str, Any]:
    made = forks.fork(session_id, body.model_dump(exclude_unset=True), request.acting)
    return session_shape(made)


def _shape(found: forks.Place) -> dict[str, Any]:
    return {
        "type": "fork_place",
        "at": found.at,
        "seq": found.seq,
        "snapshot_seq": found.snapshot.seq if found.snapshot else None,
        "calls_between": found.calls_between,
        "workspace": found.sentence,
        "threads_left_behind": found.threads,
    }
