"""What makes and changes deployments (spec advanced 13.1, 13.3). ``body`` is checked by ``contract.schema``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from agents.actions import find_agent, find_environment
from agents.models import Workspace
from contract import audit, happenings, metadata, versions
from contract.errors import ApiError, InvalidRequest, NotFound
from contract.roles import Permission
from contract.secret import Secret
from credentials import crypto
from sessions import inbound
from sessions.models import Deployment, DeploymentRun
from sessions.schedules import cron
from sessions.schedules.runs import begin, lock, pause, plan, retire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contract.acting import Acting

MAX_EVENTS = 50
MAX_RESOURCES = 500
MAX_VAULTS = 50
MAX_SCHEDULED = 1000
MAX_NAME = 256
MAX_DESCRIPTION = 2048
RUNS_DIFFERENTLY = frozenset({"agent", "environment_id", "initial_events", "resources", "vault_ids", "budget"})


class _Undo(Exception):
    """Leaves a transaction without a trace."""


def find(deployment_id: str, acting: Acting) -> Deployment:
    rows = Deployment.objects.select_related("agent").filter(workspace_id=acting.workspace_id)
    deployment = rows.filter(pk=deployment_id).first()
    if deployment is None:
        raise NotFound(f"There is no deployment {deployment_id} in this workspace.")
    return deployment


def find_run(run_id: str, acting: Acting) -> DeploymentRun:
    rows = DeploymentRun.objects.select_related("deployment").filter(deployment__workspace_id=acting.workspace_id)
    run = rows.filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"There is no deployment run {run_id} in this workspace.")
    return run


@audit.logged("deployment.created", "agent_sessions.Deployment")
def create(body: Mapping[str, Any], acting: Acting) -> Deployment:
    """A new deployment, tried once without a trace, so that what can't run is refused now."""
    acting.require(Permission.BUILD)
    now = timezone.now()
    deployment = Deployment(
        workspace_id=acting.workspace_id, created_by_id=acting.user_id, created_at=now, updated_at=now
    )
    with transaction.atomic():
        _take(deployment, body, acting)
        deployment.metadata = metadata.check(body.get("metadata") or {})
        _check_count(deployment)
        deployment.save(force_insert=True)
        _try(deployment, acting)
        _tell("deployment.created", deployment)
    return deployment


@audit.logged("deployment.updated", "agent_sessions.Deployment", "deployment_id")
def update(deployment_id: str, body: Mapping[str, Any], acting: Acting) -> Deployment:
    """Change what was sent; sessions that exist keep what they were made of."""
    acting.require(Permission.BUILD)
    with transaction.atomic():
        deployment = _lock_open(deployment_id, acting)
        before = _state(deployment)
        _take(deployment, body, acting)
        deployment.metadata = metadata.merge(deployment.metadata, body.get("metadata"))
        if _state(deployment) == before and not ("resources" in body and deployment.sealed_tokens):
            return deployment
        _check_count(deployment)
        deployment.updated_at = timezone.now()
        deployment.save()
        if RUNS_DIFFERENTLY & body.keys():
            _try(deployment, acting)
        _tell("deployment.updated", deployment)
    return deployment


@audit.logged("deployment.paused", "agent_sessions.Deployment", "deployment_id", always=True)
def pause_by_hand(deployment_id: str, acting: Acting) -> Deployment:
    """Stop the schedule; manual runs and sessions that run go on. A second time changes nothing."""
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        deployment = _lock_open(deployment_id, acting)
        if not deployment.paused_reason:
            pause(deployment, {"type": "manual"})
            deployment.save(update_fields=["paused_reason", "next_run_at", "fire_at", "updated_at"])
    return deployment


@audit.logged("deployment.unpaused", "agent_sessions.Deployment", "deployment_id", always=True)
def unpause(deployment_id: str, acting: Acting) -> Deployment:
    """Let the schedule go on from now; what it missed stays missed."""
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        deployment = _lock_open(deployment_id, acting)
        if deployment.paused_reason:
            deployment.paused_reason, deployment.updated_at = None, timezone.now()
            plan(deployment, deployment.updated_at)
            deployment.save(update_fields=["paused_reason", "next_run_at", "fire_at", "updated_at"])
            _tell("deployment.unpaused", deployment)
    return deployment


@audit.logged("deployment.archived", "agent_sessions.Deployment", "deployment_id")
def archive(deployment_id: str, acting: Acting) -> Deployment:
    """End a deployment; a second time changes nothing."""
    acting.require(Permission.BUILD)
    with transaction.atomic():
        deployment = lock(deployment_id, acting)
        if deployment.archived_at is None:
            retire(deployment)
    return deployment


def follow_agent(agent_id: str) -> None:
    """Archive the deployments of an agent that was archived, in the same transaction."""
    rows = Deployment.objects.select_for_update(of=("self",)).filter(agent_id=agent_id, archived_at=None)
    for deployment in rows:
        retire(deployment)


def _lock_open(deployment_id: str, acting: Acting) -> Deployment:
    deployment = lock(deployment_id, acting)
    if deployment.archived_at is not None:
        raise InvalidRequest(f"Deployment {deployment_id} is archived and can't be changed.")
    return deployment


def _take(deployment: Deployment, body: Mapping[str, Any], acting: Acting) -> None:
    """Write what was sent onto the row. Sent nulls clear what may be cleared."""
    if "name" in body:
        deployment.name = _text("name", body["name"], MAX_NAME)
        if not deployment.name.strip():
            raise InvalidRequest("name: must not be empty")
    if "description" in body:
        deployment.description = _text("description", body["description"] or "", MAX_DESCRIPTION) or None
    if "agent" in body:
        deployment.agent, deployment.agent_version = _pinned(body["agent"], acting)
    if "environment_id" in body:
        deployment.environment_id = find_environment(body["environment_id"], acting).pk
    if "initial_events" in body:
        deployment.initial_events = _events(body["initial_events"])
    if "resources" in body:
        _take_resources(deployment, body["resources"] or [])
    if "vault_ids" in body:
        deployment.vault_ids = list(body["vault_ids"] or [])
        if len(deployment.vault_ids) > MAX_VAULTS:
            raise InvalidRequest(f"vault_ids: at most {MAX_VAULTS} vaults are allowed")
    if "budget" in body:
        deployment.budget = body["budget"]
    if "schedule" in body:
        _take_schedule(deployment, body["schedule"])


def _text(field: str, value: str, most: int) -> str:
    if len(value) > most:
        raise InvalidRequest(f"{field}: must be at most {most} characters long")
    return value


def _pinned(reference: str | Mapping[str, Any], acting: Acting) -> tuple[Any, int]:
    sent: Mapping[str, Any] = {"id": reference} if isinstance(reference, str) else reference
    wanted = sent.get("version")
    versions.check("agent.version", wanted)
    found = find_agent(sent["id"], acting, version=wanted)
    if found.agent.archived_at is not None:
        raise InvalidRequest(f"agent: {found.agent_id} is archived and can't be deployed")
    return found.agent, found.version


def _events(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not 1 <= len(events) <= MAX_EVENTS:
        raise InvalidRequest(f"initial_events: must hold 1 to {MAX_EVENTS} events")
    inbound.check_alone(events, "initial_events")
    return events


def _take_resources(deployment: Deployment, resources: list[dict[str, Any]]) -> None:
    """Tokens are sealed apart; the rest is what the API echoes."""
    if len(resources) > MAX_RESOURCES:
        raise InvalidRequest(f"resources: at most {MAX_RESOURCES} resources are allowed")
    tokens = {n: one["authorization_token"] for n, one in enumerate(resources) if one.get("authorization_token")}
    deployment.resources = [
        {key: value for key, value in one.items() if key != "authorization_token"} for one in resources
    ]
    deployment.sealed_tokens = crypto.seal(Secret(json.dumps(tokens)), deployment.pk) if tokens else b""


def _take_schedule(deployment: Deployment, schedule: Mapping[str, str] | None) -> None:
    now = timezone.now()
    deployment.expression, deployment.time_zone = cron.check(schedule) if schedule else ("", "")
    deployment.jitter_seconds = 0.0
    if deployment.expression:
        deployment.jitter_seconds = cron.jitter(deployment.pk, deployment.expression, deployment.time_zone, now)
    plan(deployment, now)


def _check_count(deployment: Deployment) -> None:
    if not deployment.expression:
        return
    Workspace.hold(deployment.workspace_id)
    others = Deployment.objects.filter(workspace_id=deployment.workspace_id, archived_at=None).exclude(expression="")
    if others.exclude(pk=deployment.pk).count() >= MAX_SCHEDULED:
        raise InvalidRequest(f"schedule: a workspace has at most {MAX_SCHEDULED} scheduled deployments")


def _try(deployment: Deployment, acting: Acting) -> None:
    """Start a session as a run will, and take it back. Raises what a run would fail with."""
    try:
        with transaction.atomic():
            begin(deployment, acting)
            raise _Undo
    except _Undo:
        return
    except ApiError as error:
        if error.message.startswith("events"):
            raise InvalidRequest(f"initial_{error.message}") from None
        raise


def _state(deployment: Deployment) -> dict[str, Any]:
    """What an update may change."""
    left_out = {"updated_at", "sealed_tokens", "next_run_at", "fire_at"}
    fields = [field.attname for field in Deployment._meta.concrete_fields]
    return {name: getattr(deployment, name) for name in fields if name not in left_out}


def _tell(event_type: str, deployment: Deployment) -> None:
    happenings.tell(event_type, deployment.pk, workspace_id=deployment.workspace_id)
