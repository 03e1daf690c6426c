"""``/v1/deployments`` and ``/v1/deployment_runs`` (spec advanced 13)."""

from typing import Annotated, Any, Literal

from ninja import Body, Query, Router
from pydantic import Field

from contract.errors import InvalidRequest
from contract.http import Request
from contract.pages import paginate
from contract.query import AgentRange, Range
from contract.schema import Answer, Params
from sessions.models import Deployment, DeploymentRun
from sessions.schedules import actions
from sessions.schedules.runs import run_now
from sessions.schedules.shapes import deployment_shape, run_shape

router = Router(tags=["Deployments"])
runs = Router(tags=["Deployments"])

DEPLOYMENT = "beta_managed_agents_deployment.BetaManagedAgentsDeployment"
RUN = "beta_managed_agents_deployment_run.BetaManagedAgentsDeploymentRun"
DeploymentAnswer = Annotated[dict[str, Any], Answer(DEPLOYMENT)]
DeploymentPage = Annotated[dict[str, Any], Answer(DEPLOYMENT, page=True)]
RunAnswer = Annotated[dict[str, Any], Answer(RUN)]
RunPage = Annotated[dict[str, Any], Answer(RUN, page=True)]
CreateBody = Annotated[dict[str, Any], Params("deployment_create_params.DeploymentCreateParams")]
UpdateBody = Annotated[dict[str, Any], Params("deployment_update_params.DeploymentUpdateParams")]


class DeploymentsQuery(AgentRange):
    limit: int = Field(20, ge=1, le=100)
    page: str | None = None
    agent_id: str | None = None
    status: Literal["active", "paused"] | None = None
    include_archived: bool | None = None


class RunsQuery(Range):
    limit: int = Field(20, ge=1, le=1000)
    page: str | None = None
    deployment_id: str | None = None
    has_error: bool | None = None
    trigger_type: Literal["schedule", "manual"] | None = None


@router.post("", response=DeploymentAnswer, operation_id="deployments.create")
def create(request: Request, body: Body[CreateBody]) -> dict[str, Any]:
    return deployment_shape(actions.create(body, request.acting))


@router.get("", response=DeploymentPage, operation_id="deployments.list")
def list_deployments(request: Request, query: Query[DeploymentsQuery]) -> dict[str, Any]:
    """Newest first."""
    if query.status is not None and query.include_archived is not None:
        raise InvalidRequest("status: can't be combined with include_archived")
    rows = Deployment.objects.filter(workspace_id=request.acting.workspace_id, **_filters(query))
    found = paginate(
        rows, kind="deployments", fields=("created_at", "id"), limit=query.limit, page=query.page, bounds=query.bounds()
    )
    return found.answer(deployment_shape)


def _filters(query: DeploymentsQuery) -> dict[str, Any]:
    wanted = query.created()
    if query.agent_id is not None:
        wanted["agent_id"] = query.agent_id
    if query.status is not None:
        wanted["paused_reason__isnull"] = query.status == "active"
    if not query.include_archived:
        wanted["archived_at"] = None
    return wanted


@router.get("/{deployment_id}", response=DeploymentAnswer, operation_id="deployments.retrieve")
def retrieve(request: Request, deployment_id: str) -> dict[str, Any]:
    return deployment_shape(actions.find(deployment_id, request.acting))


@router.post("/{deployment_id}", response=DeploymentAnswer, operation_id="deployments.update")
def update(request: Request, deployment_id: str, body: Body[UpdateBody]) -> dict[str, Any]:
    return deployment_shape(actions.update(deployment_id, body, request.acting))


@router.post("/{deployment_id}/archive", response=DeploymentAnswer, operation_id="deployments.archive")
def archive(request: Request, deployment_id: str) -> dict[str, Any]:
    return deployment_shape(actions.archive(deployment_id, request.acting))


@router.post("/{deployment_id}/pause", response=DeploymentAnswer, operation_id="deployments.pause")
def pause(request: Request, deployment_id: str) -> dict[str, Any]:
    return deployment_shape(actions.pause_by_hand(deployment_id, request.acting))


@router.post("/{deployment_id}/unpause", response=DeploymentAnswer, operation_id="deployments.unpause")
def unpause(request: Request, deployment_id: str) -> dict[str, Any]:
    return deployment_shape(actions.unpause(deployment_id, request.acting))


@router.post("/{deployment_id}/run", response=RunAnswer, operation_id="deployments.run")
def run(request: Request, deployment_id: str) -> dict[str, Any]:
    """The run's record; a run that could start no session is one with an ``error``."""
    return run_shape(run_now(deployment_id, request.acting))


@runs.get("", response=RunPage, operation_id="deployment_runs.list")
def list_runs(request: Request, query: Query[RunsQuery]) -> dict[str, Any]:
    """Newest first; empty for an unknown deployment."""
    rows = DeploymentRun.objects.filter(deployment__workspace_id=request.acting.workspace_id, **_run_filters(query))
    found = paginate(
        rows.select_related("deployment"),
        kind="deployment_runs",
        fields=("created_at", "id"),
        limit=query.limit,
        page=query.page,
        bounds=query.bounds(),
    )
    return found.answer(run_shape)


def _run_filters(query: RunsQuery) -> dict[str, Any]:
    wanted = query.created()
    if query.deployment_id is not None:
        wanted["deployment_id"] = query.deployment_id
    if query.has_error is not None:
        wanted["error__isnull"] = not query.has_error
    if query.trigger_type is not None:
        wanted["scheduled_at__isnull"] = query.trigger_type == "manual"
    return wanted


@runs.get("/{run_id}", response=RunAnswer, operation_id="deployment_runs.retrieve")
def retrieve_run(request: Request, run_id: str) -> dict[str, Any]:
    return run_shape(actions.find_run(run_id, request.acting))
