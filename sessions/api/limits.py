"""``/v1/x/limits``: caps of the workspace, and what applies to a session. Ours, not the hosted API's."""

from typing import Any

from ninja import Router

from agents.models import Workspace
from contract.http import Request
from contract.limits import Limits, Ours
from contract.roles import Permission
from sessions import caps
from sessions.finding import bare_session

router = Router(tags=["Limits"])


class LimitsBody(Ours):
    """What to change; null for all of it lifts every cap of the workspace."""

    limits: Limits | None


Answer = dict[str, Any]


@router.get("/limits", response=Answer, operation_id="x.limits.retrieve")
def retrieve(request: Request) -> dict[str, Any]:
    request.acting.require(Permission.READ)
    return _shape(Workspace.objects.get(pk=request.acting.workspace_id))


@router.post("/limits", response=Answer, operation_id="x.limits.update")
def update(request: Request, body: LimitsBody) -> dict[str, Any]:
    sent = body.limits.model_dump(exclude_unset=True) if body.limits else None
    return _shape(caps.change_workspace(sent, request.acting))


@router.get("/sessions/{session_id}/limits", response=Answer, operation_id="x.sessions.limits.retrieve")
def of_session(request: Request, session_id: str) -> dict[str, Any]:
    """Every level's caps; in ``effective`` the tightest of each kind and what is used up of it."""
    return caps.overview(bare_session(session_id, request.acting))


def _shape(workspace: Workspace) -> dict[str, Any]:
    return {"type": "workspace_limits", "workspace_id": workspace.pk, "limits": workspace.limits}
