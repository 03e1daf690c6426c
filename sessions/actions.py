"""What starts, changes and ends sessions. The API, the pages and commands all go through here.

``body`` is a request of the API's shape, checked by ``contract.schema``; see ``agents.actions``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from agents.actions import find_environment
from agents.api.shapes import thread_agent
from contract import audit, happenings, limits, metadata
from contract.errors import Conflict, InvalidRequest
from contract.roles import Permission
from contract.schema import OURS
from credentials import vaults
from sessions import budgets, caps, definitions, inbox, log, notyet, nudges, permissions, resources, threads
from sessions import events as ev
from sessions.events import Draft
from sessions.finding import find_session, lock_session
from sessions.harness.hands import skills
from sessions.models import Session, Thread
from sessions.notyet import Wanted
from sessions.wake import wake_on_commit
from sessions.workflows import runs as workflow_runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agents.models import AgentVersion, Environment
    from contract.acting import Acting

logger = logging.getLogger(__name__)

MAX_INITIAL_EVENTS = 50
MAX_TITLE = 500


def create_session(body: Mapping[str, Any], acting: Acting, *, deployment_id: str | None = None) -> Session:
    """A new session, idle, or running if ``initial_events`` start it (spec core 8.2). All or nothing.

    ``deployment_id`` names the deployment that starts it, if one does.
    """
    acting.require(Permission.OPERATE)
    version, snapshot = definitions.define(body["agent"], acting)
    environment = _environment(body["environment_id"], acting)
    return start_session(version, snapshot, environment, body, acting, deployment_id=deployment_id)


def start_session(
    version: AgentVersion,
    snapshot: dict[str, Any],
    environment: Environment,
    body: Mapping[str, Any],
    acting: Acting,
    *,
    deployment_id: str | None = None,
) -> Session:
    """A session of an agent and an environment that were looked up already; ``body`` holds the rest."""
    definitions.check_tools(snapshot)
    definitions.check_reachable(snapshot, environment)
    events = list(body.get("initial_events") or ())
    _check_initial_events(events)
    try:
        with transaction.atomic():
            session = _insert(version, snapshot, environment, body, acting, deployment_id)
            caps.check_new(session, [model["id"] for model in definitions.models(snapshot)])
            _mount(session, body.get("resources") or ())
            notyet.check(Wanted(snapshot, environment.config, session.vault_ids, body.get("resources") or ()))
            skills.check(snapshot)
            happenings.tell("session.created", session.pk, workspace_id=session.workspace_id)
            if events:
                inbox.send(session, events, acting, where="initial_events")
            else:
                happenings.tell("session.pending", session.pk, workspace_id=session.workspace_id)
            audit.record(acting, "session.created", "agent_sessions.Session", session.pk, after=audit.values(session))
    except IntegrityError:  # foreign keys are checked at the commit
        raise Conflict(f"Environment {environment.pk} was deleted meanwhile.") from None
    return find_session(session.pk, acting)


def _insert(
    version: AgentVersion,
    snapshot: dict[str, Any],
    environment: Environment,
    body: Mapping[str, Any],
    acting: Acting,
    deployment_id: str | None,
) -> Session:
    now = timezone.now()
    budget = body.get("budget")
    session = Session.objects.create(
        workspace_id=acting.workspace_id,
        agent_id=version.agent_id,
        agent_version=version.version,
        agent_snapshot=snapshot,
        environment=environment,
        deployment_id=deployment_id,
        title=_title(body.get("title")),
        metadata=metadata.check(body.get("metadata") or {}),
        vault_ids=vaults.check_attachable(body.get("vault_ids") or (), acting),
        budget=budgets.check(budget, definitions.models(snapshot)) if budget else None,
        limits=limits.merged({}, (body.get(OURS) or {}).get("limits")),
        hour_price=settings.HOLDFAST_RUNNING_HOUR_PRICE,
        **permissions.at_start(body.get(OURS)),
        created_by_id=acting.user_id,
        created_by_key=acting.api_key_id or "",
        created_at=now,
        updated_at=now,
    )
    Thread.objects.create(
        session=session, agent=thread_agent(snapshot), agent_name=snapshot["name"], created_at=now, updated_at=now
    )
    return session


def _mount(session: Session, wanted: Sequence[Mapping[str, Any]]) -> None:
    resources.check_mountable(session, wanted)
    resources.mount(session, wanted)


def _title(value: str | None) -> str | None:
    if value is not None and len(value) > MAX_TITLE:
        raise InvalidRequest(f"title: must be at most {MAX_TITLE} characters long")
    return value


def _environment(environment_id: str, acting: Acting) -> Environment:
    environment = find_environment(environment_id, acting)
    if environment.archived_at is not None:
        raise InvalidRequest(
            f"Environment {environment_id} is archived and takes no new sessions.",
            error_code="environment_archived",
        )
    return environment


def _check_initial_events(events: Sequence[Mapping[str, Any]]) -> None:
    if len(events) > MAX_INITIAL_EVENTS:
        raise InvalidRequest(f"initial_events: at most {MAX_INITIAL_EVENTS} events are allowed")


@audit.logged("session.updated", "agent_sessions.Session", "session_id")
def update_session(session_id: str, body: Mapping[str, Any], acting: Acting) -> Session:
    """Change title, metadata, budget or, while idle, the agent's tools (spec core 8.6); logs what changed.

    Work that had paused at the budget goes on once it is raised or removed.
    """
    acting.require(Permission.OPERATE)
    if "vault_ids" in body:
        raise InvalidRequest("vault_ids: updating it is not yet supported")
    with transaction.atomic():
        session = lock_session(session_id, acting)
        if session.archived_at is not None or session.status == "terminated":
            raise InvalidRequest(f"Session {session_id} has ended and can't be changed.")
        changes = _changes(session, body)
        ours = body.get(OURS) or {}
        notes = caps.change_session(session, ours["limits"], acting) if "limits" in ours else []
        rules = permissions.changes(session, ours, acting)
        if changes or notes:
            _apply(session, changes, notes)
        if rules:
            change_rules(session, rules, acting)
    if notes:
        caps.resume(session_id)
    return find_session(session_id, acting)


def _changes(session: Session, body: Mapping[str, Any]) -> dict[str, Any]:
    """Columns that get a new value."""
    wanted: dict[str, Any] = {}
    if "title" in body:
        wanted["title"] = _title(body["title"])
    if body.get("metadata") is not None:
        wanted["metadata"] = metadata.merge(session.metadata, body["metadata"])
    if "budget" in body:
        wanted["budget"] = budgets.change(session, body["budget"])
    agent = body.get("agent") or {}
    if agent:
        if session.status != "idle":
            raise InvalidRequest(f"agent: can't be updated while the session is {session.status}; interrupt it first")
        workflow_runs.check_none_open(session)
        snapshot = definitions.changed(session.agent_snapshot, agent)
        notyet.check(Wanted(snapshot))
        definitions.check_tools(snapshot)
        definitions.check_reachable(snapshot, session.environment)
        wanted["agent_snapshot"] = snapshot
    return {column: value for column, value in wanted.items() if value != getattr(session, column)}


def _apply(session: Session, changes: Mapping[str, Any], notes: Sequence[Draft] = ()) -> None:
    """Write the columns and the ``session.updated`` event, which holds only what changed.

    The log itself keeps the ``budget`` column, by that event.
    """
    columns = [column for column in changes if column != "budget"]
    for column in columns:
        setattr(session, column, changes[column])
    if columns:
        session.save(update_fields=columns)
    primary = Thread.objects.get(session=session, parent=None)
    payload = {"agent" if column == "agent_snapshot" else column: value for column, value in changes.items()}
    if "agent" in payload:
        Thread.objects.filter(pk=primary.pk).update(agent=thread_agent(payload["agent"]))
    if payload.get("metadata") == {}:
        del payload["metadata"]
    told = [Draft(ev.SESSION_UPDATED, payload)] if changes else []
    log.append(session.pk, primary.pk, [*told, *notes])
    if "budget" in changes:
        _resume(session.pk)


def _resume(session_id: str) -> None:
    """Let every thread and workflow run of a locked session go on that had paused at its budget."""
    for thread in Thread.objects.select_for_update().filter(session_id=session_id).order_by("id"):
        if resumed := budgets.resume(thread):
            log.append(session_id, thread.pk, resumed)
            wake_on_commit(thread.pk)
    workflow_runs.resume(session_id)


def change_rules(session: Session, rules: Mapping[str, Any], acting: Acting) -> None:
    """Write a locked session's rules (``sessions.permissions``) and tell of them on the log."""
    primary = Thread.objects.get(session=session, parent=None)
    Session.objects.filter(pk=session.pk).update(**rules)
    log.append(session.pk, primary.pk, [permissions.changed(rules, acting)])


@audit.logged("session.retried", "agent_sessions.Session", "session_id", always=True)
def retry_session(session_id: str, acting: Acting) -> Session:
    """Ask again where a turn gave up, and let agents go on that were paused because they only wrote to each other.

    400 for a session of which neither is true.
    """
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        session = lock_session(session_id, acting)
        idle = Thread.objects.select_for_update().filter(session=session, status="idle").order_by("id")
        resting = [thread for thread in idle if _waits_for_another_try(thread)]
        if session.archived_at is not None or not resting:
            raise InvalidRequest(f"Session {session_id} has no turn that gave up; send a message instead.")
        for thread in resting:
            note = Draft(ev.OPS_RETRIED, {"by": acting.label})
            log.append(session_id, thread.pk, [note, Draft(ev.THREAD_RUNNING, threads.about(thread))])
            wake_on_commit(thread.pk)
    return find_session(session_id, acting)


def _waits_for_another_try(thread: Thread) -> bool:
    gave_up = (thread.stop_reason or {}).get("type") == "retries_exhausted"
    return gave_up and (thread.parent_id is None or ev.only_talks(thread.stop_reason))


@audit.logged("session.archived", "agent_sessions.Session", "session_id")
def archive_session(session_id: str, acting: Acting) -> Session:
    """End a session that rests; its history stays (spec core 8.9). A second time changes nothing."""
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        session = lock_session(session_id, acting)
        if session.archived_at is None:
            _check_rests(session, "archived")
            workflow_runs.stop_all(session.pk)
            for thread in Thread.objects.filter(session=session).exclude(status="terminated"):
                log.append(session.pk, thread.pk, [Draft(ev.THREAD_TERMINATED, threads.about(thread))])
            now = timezone.now()
            Session.objects.filter(pk=session.pk).update(archived_at=now, updated_at=now)
            happenings.tell("session.archived", session.pk, workspace_id=session.workspace_id)
            transaction.on_commit(lambda: _discard_sandbox(session_id))
    return find_session(session_id, acting)


@audit.logged("session.deleted", "agent_sessions.Session", "session_id")
def delete_session(session_id: str, acting: Acting) -> None:
    """Remove a session that rests, with its log, its files and its sandbox (spec core 8.9)."""
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        session = lock_session(session_id, acting)
        _check_rests(session, "deleted")
        happenings.tell("session.deleted", session.pk, workspace_id=session.workspace_id)
        session.delete()
        transaction.on_commit(lambda: nudges.publish_deleted(session_id))
        transaction.on_commit(lambda: _discard_sandbox(session_id))


def _check_rests(session: Session, done: str) -> None:
    if session.status in ("running", "rescheduling"):
        raise InvalidRequest(
            f"Session {session.pk} is {session.status} and can't be {done}; send user.interrupt by itself, "
            "wait until it is idle, then try again."
        )


def _discard_sandbox(session_id: str) -> None:
    """Queue the removal of the sandbox; the sweep finds what a broker that is away did not take."""
    from sessions.tasks import discard_sandbox

    try:
        discard_sandbox.delay(session_id)
    except (OperationalError, OSError) as error:
        logger.warning("The broker took no clean-up (%s); the sweep will do it.", type(error).__name__)
