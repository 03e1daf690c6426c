"""What changes agents and environments. The API, the pages and commands all go through here.

``body`` is a request of the API's shape, checked by ``contract.schema``. Every action checks the caller's
role, starts from the caller's workspace, and raises the errors of ``contract.errors``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from agents import environments, references, resolve, rosters
from agents.models import Agent, AgentVersion, Environment
from agents.rosters import Owner
from contract import audit, happenings, ids, metadata, versions
from contract.errors import Conflict, InvalidRequest, NotFound
from contract.roles import Permission

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contract.acting import Acting

AGENT = "agents.Agent"  # its kind on the audit log


def find_agent(agent_id: str, acting: Acting, *, version: int | None = None) -> AgentVersion:
    """A version of an agent of the caller's workspace, the latest by default. One query."""
    found = AgentVersion.objects.select_related("agent").filter(
        agent_id=agent_id, agent__workspace_id=acting.workspace_id
    )
    row = found.filter(version=version).first() if version is not None else found.order_by("-version").first()
    if row is None:
        which = f"version {version} of agent" if version is not None else "agent"
        raise NotFound(f"There is no {which} {agent_id} in this workspace.")
    return row


def new_spec(body: Mapping[str, Any], acting: Acting, agent_id: str = "") -> dict[str, Any]:
    """What ``create_agent`` would store, every rule checked and nothing written."""
    acting.require(Permission.BUILD)
    spec = resolve.agent(body) | {"metadata": metadata.check(body.get("metadata") or {})}
    spec["skills"] = references.skills(body.get("skills"), acting)
    spec["multiagent"] = rosters.resolve(body.get("multiagent"), None, Owner(agent_id), acting)
    _check_whole(spec, acting)
    return spec


def changed_spec(current: AgentVersion, body: Mapping[str, Any], acting: Acting) -> dict[str, Any]:
    """What ``update_agent`` would store over ``current``, every rule checked and nothing written."""
    acting.require(Permission.BUILD)
    _check_version(current.agent, body)
    spec = resolve.changed_agent(current.spec, body)
    spec["metadata"] = metadata.merge(current.spec["metadata"], body.get("metadata"))
    if "skills" in body:
        spec["skills"] = references.skills(body["skills"], acting)
    if "multiagent" in body:
        owner = Owner(current.agent_id, current.agent.version)
        spec["multiagent"] = rosters.resolve(body["multiagent"], spec["multiagent"], owner, acting)
    if spec != current.spec:
        _check_whole(spec, acting, roster_sent="multiagent" in body)
    return spec


def create_agent(body: Mapping[str, Any], acting: Acting) -> AgentVersion:
    """Version 1 of a new agent (spec core 4.3)."""
    agent_id = ids.agent_id()
    spec = new_spec(body, acting, agent_id)
    now = timezone.now()
    with transaction.atomic():
        agent = Agent.objects.create(
            pk=agent_id, workspace_id=acting.workspace_id, name=spec["name"], version=1, created_at=now, updated_at=now
        )
        happenings.tell("agent.created", agent.pk, workspace_id=agent.workspace_id)
        audit.record(acting, "agent.created", AGENT, agent.pk, after=audit.values(agent, spec))
        return AgentVersion.objects.create(
            agent=agent, version=1, spec=spec, created_at=now, created_by_id=acting.user_id
        )


def update_agent(agent_id: str, body: Mapping[str, Any], acting: Acting) -> AgentVersion:
    """The next version, or the current one if nothing differs (spec core 4.4)."""
    acting.require(Permission.BUILD)
    with transaction.atomic():
        agent = _lock_agent(agent_id, acting)
        current = AgentVersion.objects.get(agent=agent, version=agent.version)
        current.agent = agent
        spec = changed_spec(current, body, acting)
        if spec == current.spec:
            return current
        return _next_version(current, spec, acting)


def _next_version(current: AgentVersion, spec: Mapping[str, Any], acting: Acting) -> AgentVersion:
    """Make ``spec`` the version after ``current``, the newest of a locked agent."""
    agent = current.agent
    before = audit.values(agent, current.spec)
    agent.name, agent.version, agent.updated_at = spec["name"], agent.version + 1, timezone.now()
    agent.save(update_fields=["name", "version", "updated_at"])
    audit.record(acting, "agent.updated", AGENT, agent.pk, before, audit.values(agent, spec))
    made = AgentVersion.objects.create(
        agent=agent, version=agent.version, spec=spec, created_at=agent.updated_at, created_by_id=acting.user_id
    )
    happenings.tell("agent.updated", agent.pk, workspace_id=agent.workspace_id)  # who hears of it reads the new one
    return made


def _check_whole(spec: Mapping[str, Any], acting: Acting, *, roster_sent: bool = True) -> None:
    """The rules between the fields of an agent that is being saved, and between it and those it calls on.

    A roster that is not sent keeps its pins, also to agents that were archived since.
    """
    resolve.check_whole(spec)
    members = rosters.members(spec["multiagent"], acting).values()
    rosters.check(spec, members)
    if roster_sent:
        rosters.check_alive(members)


def restore_agent(agent_id: str, version: int, acting: Acting) -> AgentVersion:
    """What ``version`` says as the next version; the current one if that says the same.

    The rules of today hold: what an old version names must still exist.
    """
    acting.require(Permission.BUILD)
    with transaction.atomic():
        agent = _lock_agent(agent_id, acting)
        _check_version(agent, {})
        old = find_agent(agent_id, acting, version=version)
        current = AgentVersion.objects.get(agent=agent, version=agent.version)
        current.agent = agent
        if old.spec == current.spec:
            return current
        references.skills(old.spec["skills"], acting)
        _check_whole(old.spec, acting)
        return _next_version(current, old.spec, acting)


@audit.logged("agent.archived", AGENT, "agent_id")
def archive_agent(agent_id: str, acting: Acting) -> AgentVersion:
    """Close an agent for new sessions and changes; a second time changes nothing."""
    acting.require(Permission.BUILD)
    with transaction.atomic():
        agent = _lock_agent(agent_id, acting)
        if agent.archived_at is None:
            agent.archived_at = agent.updated_at = timezone.now()
            agent.save(update_fields=["archived_at", "updated_at"])
            happenings.tell("agent.archived", agent.pk, workspace_id=agent.workspace_id)
        current = AgentVersion.objects.get(agent=agent, version=agent.version)
    current.agent = agent
    return current


def _lock_agent(agent_id: str, acting: Acting) -> Agent:
    agent = Agent.objects.select_for_update().filter(pk=agent_id, workspace_id=acting.workspace_id).first()
    if agent is None:
        raise NotFound(f"There is no agent {agent_id} in this workspace.")
    return agent


def _check_version(agent: Agent, body: Mapping[str, Any]) -> None:
    if agent.archived_at is not None:
        raise InvalidRequest(f"Agent {agent.pk} is archived and can't be changed.")
    sent = body.get("version")
    versions.check("version", sent)
    if sent is not None and sent != agent.version:
        raise Conflict(f"version: {sent} is not the agent's current version, which is {agent.version}")


def find_environment(environment_id: str, acting: Acting) -> Environment:
    row = Environment.objects.filter(pk=environment_id, workspace_id=acting.workspace_id).first()
    return _found(row, environment_id)


@audit.logged("environment.created", "agents.Environment")
def create_environment(body: Mapping[str, Any], acting: Acting) -> Environment:
    """A new environment (spec core 7.1). A name that is taken raises ``Conflict``."""
    acting.require(Permission.BUILD)
    _check_scope(body)
    now = timezone.now()
    environment = Environment(
        workspace_id=acting.workspace_id,
        name=resolve.name("name", body["name"]),
        description=_description(body.get("description")),
        config=environments.config(body.get("config")),
        metadata=metadata.check(body.get("metadata") or {}),
        created_at=now,
        updated_at=now,
    )
    _save_environment(environment, "environment.created")
    return environment


@audit.logged("environment.updated", "agents.Environment", "environment_id")
def update_environment(environment_id: str, body: Mapping[str, Any], acting: Acting) -> Environment:
    """Change what was sent (spec core 7.3); sandboxes that exist keep what they were made of."""
    acting.require(Permission.BUILD)
    with transaction.atomic():
        environment = _lock_environment(environment_id, acting)
        if environment.archived_at is not None:
            raise InvalidRequest(
                f"Environment {environment.pk} is archived and can't be changed.",
                error_code="environment_archived",
            )
        _check_scope(body)
        before = _written(environment)
        if body.get("name") is not None:
            environment.name = resolve.name("name", body["name"])
        if "description" in body:
            environment.description = _description(body["description"])
        if body.get("config") is not None:
            environment.config = environments.config(body["config"], environment.config)
        environment.metadata = metadata.merge(environment.metadata, body.get("metadata"), empty_deletes=True)
        if _written(environment) != before:
            environment.updated_at = timezone.now()
            _save_environment(environment, "environment.updated")
    return environment


@audit.logged("environment.archived", "agents.Environment", "environment_id")
def archive_environment(environment_id: str, acting: Acting) -> Environment:
    """Close an environment for new sessions; a second time changes nothing."""
    acting.require(Permission.BUILD)
    with transaction.atomic():
        environment = _lock_environment(environment_id, acting)
        if environment.archived_at is None:
            environment.archived_at = environment.updated_at = timezone.now()
            environment.save(update_fields=["archived_at", "updated_at"])
            _tell("environment.archived", environment)
    return environment


@audit.logged("environment.deleted", "agents.Environment", "environment_id")
def delete_environment(environment_id: str, acting: Acting) -> None:
    """Delete an environment that no session uses; ``Conflict`` otherwise (spec core 7.3)."""
    acting.require(Permission.BUILD)
    with transaction.atomic():
        environment = _lock_environment(environment_id, acting)
        if environment.sessions.exists():
            raise Conflict(f"Environment {environment.pk} is used by sessions; archive it, or delete them first.")
        _tell("environment.deleted", environment)
        environment.delete()


def _written(environment: Environment) -> tuple[Any, ...]:
    """What an update may change."""
    return environment.name, environment.description, environment.config, environment.metadata


def _tell(event_type: str, environment: Environment) -> None:
    happenings.tell(event_type, environment.pk, workspace_id=environment.workspace_id)


def _lock_environment(environment_id: str, acting: Acting) -> Environment:
    rows = Environment.objects.select_for_update()
    return _found(rows.filter(pk=environment_id, workspace_id=acting.workspace_id).first(), environment_id)


def _found(environment: Environment | None, environment_id: str) -> Environment:
    if environment is None:
        raise NotFound(
            f"There is no environment {environment_id} in this workspace.", error_code="environment_not_found"
        )
    return environment


def _save_environment(environment: Environment, event_type: str) -> None:
    """Write the row and tell of it. A name that is taken raises ``Conflict``."""
    try:
        with transaction.atomic():
            environment.save()
            _tell(event_type, environment)
    except IntegrityError:
        raise Conflict(f"name: {environment.name!r} is taken by another environment of this workspace") from None


def _description(value: str | None) -> str | None:
    """Unlike an agent's, "" stays "" (spec core 7.1)."""
    resolve.text("description", value, environments.MAX_DESCRIPTION)
    return value


def _check_scope(body: Mapping[str, Any]) -> None:
    if body.get("scope") == "account":
        raise InvalidRequest("scope: account is not available; use organization")
