"""``/v1/x/permissions``: ask beforehand what would become of a call."""

from typing import Annotated, Any

from ninja import Body, Router
from pydantic import BaseModel, ConfigDict, Field

from agents.actions import find_agent
from agents.policies import Verdict, sentence
from agents.rules import Request as Call
from agents.trying import try_call
from contract.errors import InvalidRequest
from contract.http import Request
from contract.roles import Permission
from sessions.finding import find_session
from sessions.permissions import rulebook

router = Router(tags=["Permissions"])

Name = Annotated[str, Field(min_length=1, max_length=256)]


class TestBody(BaseModel):
    """A call, and of what agent or session. ``version`` is the agent's latest unless given."""

    __test__ = False  # not a class of tests
    model_config = ConfigDict(extra="forbid")

    agent_id: str | None = None
    version: int | None = Field(None, ge=1, le=2**31 - 1)
    session_id: str | None = None
    tool: Name
    input: dict[str, Any] = {}
    mcp_server_name: Name | None = None


class TestAnswer(BaseModel):
    """``decided_by`` names the source (policy, rule, session_rule, remembered, not_enabled) and the rule itself."""

    __test__ = False

    type: str
    evaluated_permission: str
    evaluation: dict[str, Any] | None
    decided_by: dict[str, Any]
    explanation: str


@router.post("/test", response=TestAnswer, operation_id="x.permissions.test")
def test(request: Request, body: Body[TestBody]) -> dict[str, Any]:
    """The decision on a call, and the rule or policy it comes from. Nothing is run, no model is asked."""
    request.acting.require(Permission.OPERATE)
    call = Call(body.tool, body.input, body.mcp_server_name)
    if (body.agent_id is None) == (body.session_id is None):
        raise InvalidRequest("agent_id: name an agent or a session, one of them")
    if body.session_id is not None:
        session = find_session(body.session_id, request.acting)
        return verdict_shape(call.tool, try_call(call, session.agent_snapshot, rulebook(session)))
    version = find_agent(str(body.agent_id), request.acting, version=body.version)
    return verdict_shape(call.tool, try_call(call, version.spec))


def verdict_shape(tool: str, verdict: Verdict) -> dict[str, Any]:
    return {
        "type": "permission_test",
        "evaluated_permission": verdict.evaluated_permission,
        "evaluation": verdict.evaluation,
        "decided_by": dict(verdict.why),
        "explanation": sentence(tool, verdict),
    }
