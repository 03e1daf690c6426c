"""Agents and environments as the API shows them (spec core 4.1, 7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents import rosters
from agents.rosters import Owner
from contract.times import timestamp, timestamp_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents.models import AgentVersion, Environment

SNAPSHOT_LEAVES_OUT = frozenset({"metadata"})


def agent_shape(version: AgentVersion) -> dict[str, Any]:
    """One version. ``updated_at`` is when this version was made, or when its agent was archived."""
    agent = version.agent
    latest = version.version == agent.version
    return {
        "id": agent.pk,
        "type": "agent",
        "version": version.version,
        **version.spec,
        "multiagent": rosters.shown(version.spec["multiagent"], Owner(agent.pk, version.version)),
        "created_at": timestamp(agent.created_at),
        "updated_at": timestamp(agent.updated_at if latest else version.created_at),
        "archived_at": timestamp_or_none(agent.archived_at),
    }


def agent_snapshot(version: AgentVersion, spec: dict[str, Any]) -> dict[str, Any]:
    """The ``session.agent`` of spec core 8.1: no timestamps and no metadata. Its multiagent is still the stored one."""
    kept = {field: value for field, value in spec.items() if field not in SNAPSHOT_LEAVES_OUT}
    return {"type": "agent", "id": version.agent_id, "version": version.version, **kept}


def thread_agent(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """The ``thread.agent`` of spec core 12.1, also that of a roster's member: an agent without ``multiagent``."""
    return {field: value for field, value in snapshot.items() if field != "multiagent"}


def environment_shape(environment: Environment) -> dict[str, Any]:
    return {
        "id": environment.pk,
        "type": "environment",
        "name": environment.name,
        "description": environment.description,
        "config": environment.config,
        "metadata": environment.metadata,
        "scope": environment.scope,
        "created_at": timestamp(environment.created_at),
        "updated_at": timestamp(environment.updated_at),
        "archived_at": timestamp_or_none(environment.archived_at),
    }
