"""``/v1/x/approvals``: what waits for a person across all sessions, and deciding it."""

from typing import Annotated, Any, Literal

from ninja import Body, Query, Router
from pydantic import BaseModel, ConfigDict, Field

from contract.http import Request
from contract.pages import paginate
from contract.query import Query as QueryModel
from sessions.api.approval_shapes import approval_shape, shapes, target_shape
from sessions.approvals import actions, targets
from sessions.approvals.finding import approvals_of, filtered, find_approval

router = Router(tags=["Approvals"])

Id = Annotated[str, Field(min_length=1, max_length=64)]


class Lent(BaseModel):
    """A secret that the call would use, by name. ``rule`` is the scope that permits it."""

    id: str
    type: Literal["credential", "github_repository"]
    name: str
    rule: str


class Before(BaseModel):
    who: Literal["person", "agent"]
    text: str


class Approval(BaseModel):
    """A call that waits, or waited, for a person. ``decided_by`` in ``why`` names rule or policy that asked."""

    model_config = ConfigDict(extra="allow")

    id: str
    type: Literal["approval"]
    state: str
    session_id: str
    tool: str
    input: dict[str, Any]
    hosts: list[str]
    credentials: list[Lent]
    spent: str | None
    left: str | None
    before: list[Before]


class ApprovalPage(BaseModel):
    data: list[Approval]
    next_page: str | None


class ListQuery(QueryModel):
    limit: int = Field(20, ge=1, le=100)
    page: str | None = None
    state: Literal["waiting", "allowed", "denied", "expired", "closed"] | None = None
    session_id: str | None = None
    agent_id: str | None = None
    tool: str | None = None


class Remember(BaseModel):
    model_config = ConfigDict(extra="forbid")

    scope: Literal["session", "agent"]
    rule: dict[str, Any] | None = None


class Decision(BaseModel):
    """``input`` runs instead of what the agent called with. ``remember`` allows calls like it from now on."""

    model_config = ConfigDict(extra="forbid")

    result: Literal["allow", "deny"]
    message: str | None = None
    input: dict[str, Any] | None = None
    remember: Remember | None = None


class ManyDecisions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[Id], Field(min_length=1, max_length=actions.MAX_MANY)]
    result: Literal["allow", "deny"]
    message: str | None = None


class Outcome(BaseModel):
    id: str
    approval: Approval | None
    error: dict[str, str] | None


class Outcomes(BaseModel):
    data: list[Outcome]


class Assignment(BaseModel):
    model_config = ConfigDict(extra="forbid")

    assignee: Annotated[str, Field(max_length=150)] | None


class NewTarget(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["mail", "webhook"]
    address: Annotated[str, Field(min_length=1, max_length=2048)]


class ChangedTarget(BaseModel):
    model_config = ConfigDict(extra="forbid")

    address: Annotated[str, Field(min_length=1, max_length=2048)]


class Target(BaseModel):
    """``signing_key`` is there once, in the answer that makes the target of a webhook."""

    id: str
    type: Literal["notice_target"]
    kind: str
    address: str
    last_error: str
    created_at: str
    signing_key: str | None = None


class Targets(BaseModel):
    data: list[Target]


class Deleted(BaseModel):
    id: str
    type: Literal["notice_target_deleted"]


@router.get("", response=ApprovalPage, operation_id="x.approvals.list")
def list_approvals(request: Request, query: Query[ListQuery]) -> dict[str, Any]:
    """Latest first."""
    chosen = {"session": query.session_id or "", "agent": query.agent_id or "", "tool": query.tool or ""}
    rows = filtered(approvals_of(request.acting), chosen, request.acting)
    if query.state:
        rows = rows.filter(state=query.state)
    found = paginate(rows, kind="approvals", fields=("asked_at", "id"), limit=query.limit, page=query.page)
    return {"data": shapes(found.rows), "next_page": found.next_page}


@router.post("/decide", response=Outcomes, operation_id="x.approvals.decide_many")
def decide_many(request: Request, body: Body[ManyDecisions]) -> dict[str, Any]:
    """Decide several alike; each answers for itself."""
    decision = {"result": body.result, "message": body.message}
    outcomes = actions.decide_many(body.ids, decision, request.acting, via="api")
    decided = {shape["id"]: shape for shape in shapes([one.approval for one in outcomes if one.approval])}
    return {
        "data": [
            {
                "id": one.approval_id,
                "approval": decided.get(one.approval_id),
                "error": {"type": one.error.type, "message": one.error.message} if one.error else None,
            }
            for one in outcomes
        ]
    }


@router.get("/targets", response=Targets, operation_id="x.approvals.targets.list")
def list_targets(request: Request) -> dict[str, Any]:
    """Who is told that calls wait."""
    return {"data": [target_shape(row) for row in targets.targets_of(request.acting)]}


@router.post("/targets", response=Target, operation_id="x.approvals.targets.create")
def create_target(request: Request, body: Body[NewTarget]) -> dict[str, Any]:
    target, key = targets.add_target(body.kind, body.address, request.acting)
    return target_shape(target) | {"signing_key": key or None}


@router.get("/targets/{target_id}", response=Target, operation_id="x.approvals.targets.retrieve")
def retrieve_target(request: Request, target_id: str) -> dict[str, Any]:
    return target_shape(targets.find_target(target_id, request.acting))


@router.post("/targets/{target_id}", response=Target, operation_id="x.approvals.targets.update")
def update_target(request: Request, target_id: str, body: Body[ChangedTarget]) -> dict[str, Any]:
    """Another address; the signing key of a webhook stays."""
    return target_shape(targets.change_target(target_id, body.address, request.acting))


@router.post("/targets/{target_id}/test", response=Target, operation_id="x.approvals.targets.test")
def try_target(request: Request, target_id: str) -> dict[str, Any]:
    """Send a trial message now; ``last_error`` is empty if it was taken."""
    return target_shape(targets.try_target(target_id, request.acting))


@router.delete("/targets/{target_id}", response=Deleted, operation_id="x.approvals.targets.delete")
def delete_target(request: Request, target_id: str) -> dict[str, Any]:
    targets.remove_target(target_id, request.acting)
    return {"id": target_id, "type": "notice_target_deleted"}


@router.get("/{approval_id}", response=Approval, operation_id="x.approvals.retrieve")
def retrieve(request: Request, approval_id: str) -> dict[str, Any]:
    return approval_shape(find_approval(approval_id, request.acting))


@router.post("/{approval_id}/decide", response=Approval, operation_id="x.approvals.decide")
def decide(request: Request, approval_id: str, body: Body[Decision]) -> dict[str, Any]:
    """Allow, perhaps with a changed input, or deny. Whoever comes second is told who was first (409)."""
    decision = body.model_dump(exclude_none=True)
    return approval_shape(actions.decide(approval_id, decision, request.acting, via="api"))


@router.post("/{approval_id}/assign", response=Approval, operation_id="x.approvals.assign")
def assign(request: Request, approval_id: str, body: Body[Assignment]) -> dict[str, Any]:
    """Pass it to a member by name; null gives it back to everybody."""
    return approval_shape(actions.assign(approval_id, body.assignee, request.acting))
