"""``/v1/agents`` (spec core 4)."""

from typing import Annotated, Any

from ninja import Body, Query, Router
from pydantic import Field

from agents import actions, bodies
from agents.api.shapes import agent_shape
from agents.models import Agent, AgentVersion
from contract.http import Request
from contract.pages import paginate
from contract.query import AgentRange
from contract.query import Query as QueryModel
from contract.schema import Answer

router = Router(tags=["Agents"])

AGENT = "beta_managed_agents_agent.BetaManagedAgentsAgent"
AgentAnswer = Annotated[dict[str, Any], Answer(AGENT)]
AgentPage = Annotated[dict[str, Any], Answer(AGENT, page=True)]
CreateBody = Annotated[dict[str, Any], bodies.AGENT_CREATE]
UpdateBody = Annotated[dict[str, Any], bodies.AGENT_UPDATE]


class PageQuery(QueryModel):
    limit: int = Field(20, ge=1, le=100)
    page: str | None = None


class ListQuery(AgentRange, PageQuery):
    include_archived: bool = False


class RetrieveQuery(QueryModel):
    version: int | None = Field(None, ge=1, le=2**31 - 1)


@router.post("", response=AgentAnswer, operation_id="agents.create")
def create(request: Request, body: Body[CreateBody]) -> dict[str, Any]:
    return agent_shape(actions.create_agent(body, request.acting))


@router.get("", response=AgentPage, operation_id="agents.list")
def list_agents(request: Request, query: Query[ListQuery]) -> dict[str, Any]:
    """The latest version of each agent, newest agent first."""
    bounds = query.bounds()
    rows = Agent.objects.filter(workspace_id=request.acting.workspace_id)
    rows = rows.filter(**query.created())
    if not query.include_archived:
        rows = rows.filter(archived_at=None)
    fields = ("created_at", "id")
    found = paginate(rows, kind="agents", fields=fields, limit=query.limit, page=query.page, bounds=bounds)
    specs = _latest(found.rows)
    return found.answer(lambda agent: agent_shape(specs[agent.pk]))


@router.get("/{agent_id}", response=AgentAnswer, operation_id="agents.retrieve")
def retrieve(request: Request, agent_id: str, query: Query[RetrieveQuery]) -> dict[str, Any]:
    return agent_shape(actions.find_agent(agent_id, request.acting, version=query.version))


@router.post("/{agent_id}", response=AgentAnswer, operation_id="agents.update")
def update(request: Request, agent_id: str, body: Body[UpdateBody]) -> dict[str, Any]:
    return agent_shape(actions.update_agent(agent_id, body, request.acting))


@router.post("/{agent_id}/archive", response=AgentAnswer, operation_id="agents.archive")
def archive(request: Request, agent_id: str) -> dict[str, Any]:
    return agent_shape(actions.archive_agent(agent_id, request.acting))


@router.get("/{agent_id}/versions", response=AgentPage, operation_id="agents.versions.list")
def list_versions(request: Request, agent_id: str, query: Query[PageQuery]) -> dict[str, Any]:
    """Every version, newest first."""
    agent = actions.find_agent(agent_id, request.acting).agent
    rows = AgentVersion.objects.filter(agent=agent).select_related("agent")
    kind = f"versions:{agent.pk}"
    return paginate(rows, kind=kind, fields=("version",), limit=query.limit, page=query.page).answer(agent_shape)


def _latest(agents: list[Agent]) -> dict[str, AgentVersion]:
    """The current version of each agent, in one query."""
    current = {agent.pk: agent for agent in agents}
    versions = AgentVersion.objects.filter(agent__in=agents, version__in={agent.version for agent in agents})
    found = {}
    for version in versions:
        agent = current[version.agent_id]
        if version.version == agent.version:
            version.agent = agent
            found[agent.pk] = version
    return found
