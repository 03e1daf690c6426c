"""``/v1/deployments`` and ``/v1/deployment_runs`` (spec advanced 13): checked, but not run by this version."""

from typing import Annotated, Any, Literal

from ninja import Body, Query, Router
from pydantic import Field

from contract.errors import InvalidRequest
from contract.http import Request
from contract.query import AgentRange, Range
from contract.roles import Permission
from contract.schema import Answer, Params
from sessions.api import later

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
    """Refused: no schedule would start it."""
    later.refuse("Deployments", request.acting, Permission.BUILD)


@router.get("", response=DeploymentPage, operation_id="deployments.list")
def list_deployments(request: Request, query: Query[DeploymentsQuery]) -> dict[str, Any]:
    """Empty."""
    if query.status is not None and query.include_archived is not None:
        raise InvalidRequest("status: can't be combined with include_archived")
    return later.empty(query.page)


@router.get("/{deployment_id}", response=DeploymentAnswer, operation_id="deployments.retrieve")
def retrieve(request: Request, deployment_id: str) -> dict[str, Any]:
    later.missing("deployment", deployment_id)


@router.post("/{deployment_id}", response=DeploymentAnswer, operation_id="deployments.update")
def update(request: Request, deployment_id: str, body: Body[UpdateBody]) -> dict[str, Any]:
    later.missing("deployment", deployment_id)


@router.post("/{deployment_id}/archive", response=DeploymentAnswer, operation_id="deployments.archive")
def archive(request: Request, deployment_id: str) -> dict[str, Any]:
    later.missing("deployment", deployment_id)


@router.post("/{deployment_id}/pause", response=DeploymentAnswer, operation_id="deployments.pause")
def pause(request: Request, deployment_id: str) -> dict[str, Any]:
    later.missing("deployment", deployment_id)


@router.post("/{deployment_id}/unpause", response=DeploymentAnswer, operation_id="deployments.unpause")
def unpause(request: Request, deployment_id: str) -> dict[str, Any]:
    later.missing("deployment", deployment_id)


@router.post("/{deployment_id}/run", response=RunAnswer, operation_id="deployments.run")
def run(request: Request, deployment_id: str) -> dict[str, Any]:
    later.missing("deployment", deployment_id)


@runs.get("", response=RunPage, operation_id="deployment_runs.list")
def list_runs(request: Request, query: Query[RunsQuery]) -> dict[str, Any]:
    """Empty, for unknown deployments too."""
    return later.empty(query.page)


@runs.get("/{run_id}", response=RunAnswer, operation_id="deployment_runs.retrieve")
def retrieve_run(request: Request, run_id: str) -> dict[str, Any]:
    later.missing("deployment run", run_id)
