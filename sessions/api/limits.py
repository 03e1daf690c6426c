"""``/v1/x/…``: caps of the workspace and of a session, another try of a turn. Ours, not the hosted API's."""

from typing import Any

from ninja import Router

from agents.models import Workspace
from contract.http import Request
from contract.limits import Ours, WorkspaceLimits
from contract.roles import Permission
from sessions import actions, caps, pausing, progress
from sessions.api.sessions import SessionAnswer
from sessions.api.shapes import session_shape
from sessions.finding import bare_session

router = Router(tags=["Limits"])


class LimitsBody(Ours):
    """What to change; null for all of it lifts every cap of the workspace."""

    limits: WorkspaceLimits | None


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
    """Every level's caps; in ``effective`` the tightest of each kind and what is used up of it.

    ``threads``: the same of child threads whose own agent has limits.
    """
    return caps.in_full(bare_session(session_id, request.acting))


@router.get("/sessions/{session_id}/progress", response=Answer, operation_id="x.sessions.progress")
def how_far(request: Request, session_id: str) -> dict[str, Any]:
    """Turns, files, outputs, what is under way, time and money, told from the log."""
    return progress.progress(bare_session(session_id, request.acting))


@router.post("/sessions/{session_id}/retry", response=SessionAnswer, operation_id="x.sessions.retry")
def retry(request: Request, session_id: str) -> dict[str, Any]:
    """Ask again where a turn gave up (``retries_exhausted``), without another message."""
    return session_shape(actions.retry_session(session_id, request.acting))


@router.post("/sessions/{session_id}/pause", response=SessionAnswer, operation_id="x.sessions.pause")
def pause(request: Request, session_id: str) -> dict[str, Any]:
    """Hold a session between two steps; its stop reason then is ``requires_action`` with ``holdfast.paused``."""
    return session_shape(pausing.pause(session_id, request.acting))


@router.post("/sessions/{session_id}/resume", response=SessionAnswer, operation_id="x.sessions.resume")
def resume(request: Request, session_id: str) -> dict[str, Any]:
    """Let a session go on that was paused."""
    return session_shape(pausing.resume(session_id, request.acting))


def _shape(workspace: Workspace) -> dict[str, Any]:
    return {"type": "workspace_limits", "workspace_id": workspace.pk, "limits": workspace.limits}
