"""Deployments and their runs as the API shows them (spec advanced 13.1, 13.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone

from contract.times import timestamp, timestamp_or_none
from sessions.schedules import cron

if TYPE_CHECKING:
    from datetime import datetime

    from sessions.models import Deployment, DeploymentRun


def deployment_shape(deployment: Deployment) -> dict[str, Any]:
    body = {
        "id": deployment.pk,
        "type": "deployment",
        "name": deployment.name,
        "description": deployment.description,
        "agent": _agent(deployment.agent_id, deployment.agent_version),
        "environment_id": deployment.environment_id,
        "initial_events": deployment.initial_events,
        "resources": deployment.resources,
        "vault_ids": deployment.vault_ids,
        "schedule": _schedule(deployment),
        "metadata": deployment.metadata,
        "status": deployment.status,
        "paused_reason": deployment.paused_reason,
        "created_at": timestamp(deployment.created_at),
        "updated_at": timestamp(deployment.updated_at),
        "archived_at": timestamp_or_none(deployment.archived_at),
    }
    return body | ({"budget": deployment.budget} if deployment.budget else {})


def upcoming(deployment: Deployment, now: datetime) -> list[datetime]:
    """The next cron times, before jitter; while paused those that it would have, once archived none."""
    if not deployment.expression or deployment.archived_at is not None:
        return []
    return cron.upcoming(deployment.expression, deployment.time_zone, now)


def run_shape(run: DeploymentRun) -> dict[str, Any]:
    """A run whose deployment is loaded."""
    trigger: dict[str, Any] = {"type": "manual"}
    if run.scheduled_at is not None:
        trigger = {"type": "schedule", "scheduled_at": timestamp(run.scheduled_at)}
    return {
        "id": run.pk,
        "type": "deployment_run",
        "deployment_id": run.deployment_id,
        "agent": _agent(run.deployment.agent_id, run.agent_version),
        "session_id": run.session_id or None,
        "error": run.error,
        "trigger_context": trigger,
        "created_at": timestamp(run.created_at),
    }


def _agent(agent_id: str, version: int) -> dict[str, Any]:
    return {"type": "agent", "id": agent_id, "version": version}


def _schedule(deployment: Deployment) -> dict[str, Any] | None:
    if not deployment.expression:
        return None
    return {
        "type": "cron",
        "expression": deployment.expression,
        "timezone": deployment.time_zone,
        "upcoming_runs_at": [timestamp(moment) for moment in upcoming(deployment, timezone.now())],
        "last_run_at": timestamp_or_none(deployment.last_run_at),
    }
