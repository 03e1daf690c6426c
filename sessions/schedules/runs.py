"""Starting a deployment's sessions: by hand, and by the clock exactly once (spec advanced 13.4).

The row of a run decides. It is written in the transaction that makes the session and moves the schedule on, and no
two rows of a deployment have the same due time: whatever dies in between, a due time has either its run or none yet.
"""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError, OperationalError, transaction
from django.utils import timezone

from contract import audit, happenings
from contract.acting import Acting
from contract.errors import InvalidRequest, NotFound
from contract.roles import Permission, Role
from credentials import crypto
from sessions import events as ev
from sessions import inbox
from sessions.actions import create_session
from sessions.models import Deployment, DeploymentRun
from sessions.schedules import cron, failures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sessions.models import Session

log = logging.getLogger(__name__)

BATCH = 20  # due times of one sweep, so that a busy hour doesn't hold up the sweeper's other work
MAX_CAUGHT_UP = 100
CAUGHT_UP = timedelta(hours=24)
AFTER_FAILURE = timedelta(minutes=5)


@audit.logged("deployment.run", "agent_sessions.Deployment", "deployment_id", always=True)
def run_now(deployment_id: str, acting: Acting) -> DeploymentRun:
    """A manual run; it doesn't touch the schedule and a failure of it pauses nothing."""
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        deployment = lock(deployment_id, acting)
        if deployment.archived_at is not None:
            raise InvalidRequest(f"Deployment {deployment_id} is archived and can't be run.")
        return _run(deployment, None, acting)


def lock(deployment_id: str, acting: Acting) -> Deployment:
    """A deployment of the caller's workspace, held still until the transaction ends."""
    rows = Deployment.objects.select_for_update(of=("self",)).select_related("agent")
    deployment = rows.filter(pk=deployment_id, workspace_id=acting.workspace_id).first()
    if deployment is None:
        raise NotFound(f"There is no deployment {deployment_id} in this workspace.")
    return deployment


def fire_due() -> int:
    """Start what is due; how many due times that were. A second caller at the same time takes other deployments."""
    due = Deployment.objects.filter(fire_at__lte=timezone.now()).order_by("fire_at")
    fired = 0
    for deployment_id in list(due.values_list("pk", flat=True)[:BATCH]):
        try:
            fired += _fire(deployment_id)
        except DatabaseError:
            raise
        except Exception:
            log.exception("Deployment %s can't be started; the sweeper tries again later.", deployment_id)
            later = timezone.now() + AFTER_FAILURE
            Deployment.objects.filter(pk=deployment_id, fire_at__isnull=False).update(fire_at=later)
    return fired


def _fire(deployment_id: str) -> bool:
    """One due time of a deployment, in one transaction; False if another process was quicker."""
    with transaction.atomic():
        due = Deployment.objects.select_for_update(of=("self",), skip_locked=True).select_related("agent")
        deployment = due.filter(pk=deployment_id, fire_at__lte=timezone.now()).first()
        if deployment is None or deployment.next_run_at is None:
            return False
        if deployment.agent.archived_at is not None:
            retire(deployment)
            return True
        scheduled_at = _not_missed(deployment, deployment.next_run_at)
        _start(deployment, scheduled_at)
        if not deployment.paused_reason:
            plan(deployment, scheduled_at)
        deployment.save(update_fields=["next_run_at", "fire_at", "last_run_at", "paused_reason", "updated_at"])
    return True


def _start(deployment: Deployment, scheduled_at: datetime) -> None:
    if deployment.runs.filter(scheduled_at=scheduled_at).exists():
        return  # a schedule that was set anew to a time that had its run
    acting = Acting(
        deployment.workspace_id, Role.OPERATOR, f"deployment {deployment.name}", user_id=deployment.created_by_id
    )
    run = _run(deployment, scheduled_at, acting)
    deployment.last_run_at = run.created_at
    _tell("deployment_run.started", run)
    _tell("deployment_run.failed" if run.error else "deployment_run.succeeded", run)
    if run.error and run.error["type"] not in failures.GO_ON:
        pause(deployment, {"type": "error", "error": {"type": run.error["type"]}})


def _tell(event_type: str, run: DeploymentRun) -> None:
    happenings.tell(event_type, run.pk, workspace_id=run.deployment.workspace_id)


def _not_missed(deployment: Deployment, first: datetime) -> datetime:
    """The due time to run now, of those from ``first`` on that passed while nobody swept (setting ``MISSED_RUNS``).

    ``latest`` runs only the newest. ``all`` runs each of the last day, a hundred at most, and the newest in any case.
    """
    ready = timezone.now() - timedelta(seconds=deployment.jitter_seconds)
    recent = _passed(deployment, max(first, ready - CAUGHT_UP), ready) or _passed(deployment, first, ready)[-1:]
    kept = recent[-1:] if settings.HOLDFAST_MISSED_RUNS == "latest" else recent[-MAX_CAUGHT_UP:]
    if kept and kept[0] > first:
        log.warning("Deployment %s skips its due times from %s to before %s.", deployment.pk, first, kept[0])
        return kept[0]
    return first


def _passed(deployment: Deployment, start: datetime, end: datetime) -> list[datetime]:
    """Cron times from ``start`` to ``end``, both included."""
    found = cron.occurrences(deployment.expression, deployment.time_zone, start - timedelta(seconds=1))
    return list(takewhile(lambda moment: moment <= end, found))


def plan(deployment: Deployment, after: datetime) -> None:
    """Set what comes next after a moment; the caller saves."""
    deployment.next_run_at = deployment.fire_at = None
    if not deployment.expression or deployment.paused_reason or deployment.archived_at is not None:
        return
    for moment in cron.upcoming(deployment.expression, deployment.time_zone, after, 1):
        deployment.next_run_at = moment
        deployment.fire_at = moment + timedelta(seconds=deployment.jitter_seconds)


def pause(deployment: Deployment, reason: Mapping[str, Any]) -> None:
    """Stop the schedule with a reason; the caller saves."""
    deployment.paused_reason = dict(reason)
    deployment.next_run_at = deployment.fire_at = None
    deployment.updated_at = timezone.now()
    happenings.tell("deployment.paused", deployment.pk, workspace_id=deployment.workspace_id)


def retire(deployment: Deployment) -> None:
    """Archive a deployment for good; a locked row."""
    deployment.archived_at = deployment.updated_at = timezone.now()
    deployment.paused_reason = deployment.next_run_at = deployment.fire_at = None
    deployment.save(update_fields=["archived_at", "updated_at", "paused_reason", "next_run_at", "fire_at"])
    happenings.tell("deployment.archived", deployment.pk, workspace_id=deployment.workspace_id)


def _run(deployment: Deployment, scheduled_at: datetime | None, acting: Acting) -> DeploymentRun:
    """Make the session, or note why there is none. A database that fails is no reason: the next sweep tries again."""
    session_id, error = "", None
    try:
        with transaction.atomic():
            session_id = begin(deployment, acting).pk
    except OperationalError:
        raise
    except Exception as problem:
        error = failures.failure(deployment, problem)
    return DeploymentRun.objects.create(
        deployment=deployment,
        agent_version=deployment.agent_version,
        scheduled_at=scheduled_at,
        session_id=session_id,
        error=error,
        created_at=timezone.now(),
    )


def begin(deployment: Deployment, acting: Acting) -> Session:
    """A session of the deployment with its first events. Inside a transaction."""
    body = {
        "agent": {"type": "agent", "id": deployment.agent_id, "version": deployment.agent_version},
        "environment_id": deployment.environment_id,
        "title": deployment.name,
        "resources": _with_tokens(deployment),
        "vault_ids": deployment.vault_ids,
        "budget": deployment.budget,
    }
    session = create_session(body, acting, deployment_id=deployment.pk)
    for events in _sendable(deployment.initial_events):
        inbox.send(session, events, acting)
    return session


def _sendable(events: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """The events in requests that the inbox takes, where a system.message must be the last of its request."""
    request: list[Mapping[str, Any]] = []
    for event in events:
        request.append(event)
        if event["type"] == ev.SYSTEM_MESSAGE:
            yield request
            request = []
    if request:
        yield request


def _with_tokens(deployment: Deployment) -> list[dict[str, Any]]:
    resources = [dict(one) for one in deployment.resources]
    if deployment.sealed_tokens:
        opened = crypto.unseal(bytes(deployment.sealed_tokens), deployment.pk)
        for place, token in json.loads(opened.reveal()).items():
            resources[int(place)]["authorization_token"] = token
    return resources
