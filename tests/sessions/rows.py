"""Rows for tests below the actions: a workspace, an agent, an environment, a session and its primary thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone

from agents.models import Agent, AgentVersion, Environment, Workspace
from contract import ids
from contract.acting import Acting
from contract.roles import Role
from sessions.models import Session, Thread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOOLSET: dict[str, Any] = {
    "type": "agent_toolset_20260401",
    "default_config": {"enabled": True, "permission_policy": {"type": "always_allow"}},
    "configs": [],
}
CUSTOM: dict[str, Any] = {
    "type": "custom",
    "name": "ask_caller",
    "description": "Asks the caller.",
    "input_schema": {"type": "object", "properties": {"question": {"type": "string"}}},
}


def acting(workspace: Workspace, role: Role = Role.OPERATOR) -> Acting:
    return Acting(workspace.id, role, "test")


def mcp_toolset(server: str, policy: str = "always_ask", **configs: dict[str, Any]) -> dict[str, Any]:
    """The resolved toolset of an MCP server; ``configs`` by tool."""
    default = {"enabled": True, "permission_policy": {"type": policy}}
    entries = [{"name": name, **default, **config} for name, config in configs.items()]
    return {"type": "mcp_toolset", "mcp_server_name": server, "default_config": default, "configs": entries}


def make_session(
    tools: Sequence[dict[str, Any]] = (TOOLSET,), model: str = "demo", mcp_servers: Mapping[str, str] | None = None
) -> tuple[Session, Thread]:
    """A fresh idle session of an agent with these tools and MCP servers (URLs by name)."""
    now = timezone.now()
    workspace = Workspace.objects.create(name=f"Workspace {ids.new_id('n')}")
    agent = Agent.objects.create(workspace=workspace, name="Demo", created_at=now, updated_at=now)
    spec = {
        "name": "Demo",
        "description": None,
        "model": {"id": model, "effort": None, "speed": "standard", "inference_geo": None},
        "system": None,
        "tools": list(tools),
        "mcp_servers": [{"type": "url", "name": name, "url": url} for name, url in (mcp_servers or {}).items()],
        "skills": [],
        "multiagent": None,
        "execution_identity": {"type": "service_account"},
    }
    AgentVersion.objects.create(agent=agent, version=1, spec={**spec, "metadata": {}}, created_at=now)
    environment = Environment.objects.create(
        workspace=workspace, name="Default", config={"type": "cloud"}, created_at=now, updated_at=now
    )
    snapshot = {"type": "agent", "id": agent.id, "version": 1, **spec}
    session = Session.objects.create(
        workspace=workspace,
        agent=agent,
        agent_version=1,
        agent_snapshot=snapshot,
        environment=environment,
        created_at=now,
        updated_at=now,
    )
    thread = Thread.objects.create(
        session=session,
        agent={key: value for key, value in snapshot.items() if key != "multiagent"},
        agent_name="Demo",
        created_at=now,
        updated_at=now,
    )
    return session, thread
