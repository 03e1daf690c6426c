"""Agents, environments and models through the SDK alone, every response checked against its own types."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from anthropic.types import BetaUnsupportedCharsetError, beta
from anthropic.types.shared import RequestBodyEncodingUnsupportedError

if TYPE_CHECKING:
    from anthropic.types.beta import BetaManagedAgentsAgent

TOOLSET: Any = {"type": "agent_toolset_20260401"}


def create(client: anthropic.Anthropic, **fields: Any) -> BetaManagedAgentsAgent:
    return client.beta.agents.create(**{"name": "Writer", "model": "demo", **fields})


@pytest.mark.proves("beta.agents.create", "beta.agents.retrieve", "beta.agents.update")
def test_an_agent_keeps_every_field_and_changes_what_is_sent(client: anthropic.Anthropic) -> None:
    helper = create(client, name="Helper")
    made = create(
        client,
        model={"id": "demo", "effort": "low"},
        system="Be brief.",
        tools=[
            {**TOOLSET, "configs": [{"name": "web_fetch", "allowed_domains": ["docs.example.com"]}]},
            {"type": "mcp_toolset", "mcp_server_name": "docs"},
            {"type": "custom", "name": "ask", "description": "Asks.", "input_schema": {"type": "object"}},
        ],
        mcp_servers=[{"type": "url", "name": "docs", "url": "https://mcp.example.com"}],
        skills=[{"type": "anthropic", "skill_id": "xlsx", "version": "20251013"}],
        multiagent={"type": "coordinator", "agents": [helper.id, {"type": "self"}]},
        execution_identity={"type": "aws_role", "role_arn": "arn:aws:iam::123456789012:role/runner"},
        metadata={"team": "a"},
    )
    assert client.beta.agents.retrieve(made.id) == made
    changed = client.beta.agents.update(made.id, version=1, system=None, skills=None, metadata={"team": None})
    assert (changed.version, changed.system, changed.skills, changed.metadata) == (2, None, [], {})
    assert changed.tools == made.tools
    assert changed.multiagent is not None
    assert client.beta.agents.retrieve(made.id, version=1).system == "Be brief."


@pytest.mark.proves("beta.agents.list", "beta.agents.archive", "beta.agents.versions.list")
def test_agents_and_their_versions_are_listed(client: anthropic.Anthropic) -> None:
    made = create(client)
    for name in ("Second", "Third"):
        client.beta.agents.update(made.id, name=name)
    assert [one.version for one in client.beta.agents.versions.list(made.id, limit=2)] == [3, 2, 1]
    assert made.id in {one.id for one in client.beta.agents.list(limit=100)}
    assert client.beta.agents.archive(made.id).archived_at is not None
    assert made.id not in {one.id for one in client.beta.agents.list(limit=100)}
    assert made.id in {one.id for one in client.beta.agents.list(limit=100, include_archived=True)}


@pytest.mark.proves("beta.environments.create", "beta.environments.retrieve", "beta.environments.update")
@pytest.mark.proves("beta.environments.list", "beta.environments.archive", "beta.environments.delete")
def test_an_environment_lives_and_ends(client: anthropic.Anthropic) -> None:
    made = client.beta.environments.create(
        name=f"Rich {time.time_ns()}",
        config={
            "type": "cloud",
            "packages": {"pip": ["numpy==2.0"]},
            "networking": {"type": "limited", "allow_package_managers": True, "allowed_hosts": ["*.example.com"]},
        },
    )
    assert client.beta.environments.retrieve(made.id) == made
    assert client.beta.environments.update(made.id, description="For sums").description == "For sums"
    assert made.id in {one.id for one in client.beta.environments.list(limit=100)}
    assert client.beta.environments.archive(made.id).archived_at is not None
    assert made.id not in {one.id for one in client.beta.environments.list(limit=100)}
    assert client.beta.environments.delete(made.id).type == "environment_deleted"
    with pytest.raises(anthropic.NotFoundError):
        client.beta.environments.retrieve(made.id)


@pytest.mark.proves("beta.models.list", "beta.models.retrieve", "models.list", "models.retrieve")
def test_the_models_that_can_be_used_are_listed(client: anthropic.Anthropic) -> None:
    assert "demo" in {model.id for model in client.beta.models.list()}
    assert "demo" in {model.id for model in client.models.list()}
    assert client.beta.models.retrieve("demo").id == client.models.retrieve("demo").id == "demo"


def test_failures_arrive_as_the_exceptions_that_the_sdk_names(client: anthropic.Anthropic) -> None:
    agent = create(client)
    environment = client.beta.environments.create(name=f"Old {time.time_ns()}", config={"type": "cloud"})
    with pytest.raises(beta.BetaInvalidConfigTypeChangeError) as caught:
        client.beta.environments.update(environment.id, config={"type": "self_hosted"})
    assert caught.value.error_code == "invalid_config_type_change"
    with pytest.raises(beta.BetaInvalidMetadataError):
        client.beta.environments.update(environment.id, metadata={"k": "v" * 513})
    client.beta.environments.archive(environment.id)
    with pytest.raises(beta.BetaEnvironmentArchivedError):
        client.beta.environments.update(environment.id, name="New")
    with pytest.raises(beta.BetaEnvironmentArchivedError):
        client.beta.sessions.create(agent=agent.id, environment_id=environment.id)
    with pytest.raises(beta.BetaEnvironmentNotFoundError):
        client.beta.environments.retrieve("env_none")
    with pytest.raises(anthropic.ConflictError) as conflict:
        client.beta.agents.update(agent.id, version=9, name="Other")
    assert conflict.value.response.headers["x-should-retry"] == "false"
    assert conflict.value.type == "conflict_error"
    assert conflict.value.request_id
    with pytest.raises(BetaUnsupportedCharsetError):
        create(client, extra_headers={"content-type": "application/json; charset=utf-16"})
    with pytest.raises(RequestBodyEncodingUnsupportedError):
        create(client, extra_headers={"content-encoding": "gzip"})
    with pytest.raises(anthropic.AuthenticationError):
        client.with_options(api_key="sk-wrong").beta.agents.list()
