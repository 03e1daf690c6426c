"""Sessions, threads, resources and files as the API shows them (spec core 8.1, 9, 12.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone

from contract.schema import OURS
from contract.times import timestamp, timestamp_or_none
from sessions import permissions
from sessions.projected import session_columns, spent
from sessions.projections.columns import Clock

if TYPE_CHECKING:
    from datetime import datetime

    from sessions.models import File, Resource, Session, Thread


def session_shape(session: Session) -> dict[str, Any]:
    """A session whose threads and resources are prefetched (``sessions.finding.sessions_of``)."""
    now = timezone.now()
    ours = permissions.shown(session) | ({"limits": session.limits} if session.limits else {})
    if session.unreadable:
        ours["unreadable"] = list(session.unreadable)
    return {
        "id": session.pk,
        "type": "session",
        "agent": session.agent_snapshot,
        "environment_id": session.environment_id,
        "status": session.status,
        "title": session.title,
        "metadata": session.metadata,
        "resources": [resource_shape(resource) for resource in session.resources.all()],
        "vault_ids": session.vault_ids,
        "budget": session.budget,
        "outcome_evaluations": session.outcomes,
        "stats": {
            "active_seconds": round(sum(_active(thread, now) for thread in session.threads.all()), 3),
            "duration_seconds": _duration(session, now),
        },
        "usage": session_columns(session).usage(now),
        "deployment_id": session.deployment_id,
        "created_at": timestamp(session.created_at),
        "updated_at": timestamp(session.updated_at),
        "archived_at": timestamp_or_none(session.archived_at),
        **({OURS: ours} if ours else {}),
    }


def thread_shape(thread: Thread) -> dict[str, Any]:
    """``stats`` is null until the thread first ran, ``usage`` until it first came to rest."""
    now = timezone.now()
    ran = thread.startup_seconds is not None or thread.status != "idle"
    rested = thread.active_seconds > 0 or thread.status == "terminated"
    active = _active(thread, now)
    stats = {
        "active_seconds": round(active, 3),
        "duration_seconds": _duration(thread, now),
        "startup_seconds": round(thread.startup_seconds or 0.0, 3),
    }
    return {
        "id": thread.pk,
        "type": "session_thread",
        "session_id": thread.session_id,
        "parent_thread_id": thread.parent_id,
        "agent": thread.agent,
        "status": thread.status,
        "workflow_run_id": thread.workflow_run_id or None,
        "stats": stats if ran else None,
        "usage": spent(thread).wire(active) if rested else None,
        "created_at": timestamp(thread.created_at),
        "updated_at": timestamp(thread.updated_at),
        "archived_at": timestamp_or_none(thread.archived_at),
    }


def resource_shape(resource: Resource) -> dict[str, Any]:
    """``mount_path`` of a file is what was asked for; ``sessions.mounts.in_sandbox`` says where that is.

    A memory store has neither an id nor times of its own, and a repository's token is never shown.
    """
    if resource.kind == "memory_store":
        shown = {"type": resource.kind, "memory_store_id": resource.store_id, **resource.details}
        return {**shown, "mount_path": resource.mount_path}
    what = {"file_id": resource.file_id} if resource.kind == "file" else resource.details
    return {
        "id": resource.pk,
        "type": resource.kind,
        **what,
        "mount_path": resource.mount_path,
        "created_at": timestamp(resource.created_at),
        "updated_at": timestamp(resource.updated_at),
    }


def file_shape(file: File) -> dict[str, Any]:
    return {
        "id": file.pk,
        "type": "file",
        "filename": file.filename,
        "mime_type": file.mime_type,
        "size_bytes": file.size_bytes,
        "created_at": timestamp(file.created_at),
        "downloadable": file.downloadable,
        "expires_at": timestamp_or_none(file.expires_at),
        "scope": {"type": "session", "id": file.session_id} if file.session_id else None,
    }


def _active(row: Session | Thread, now: datetime) -> float:
    """From two columns alone: a list loads no more of its threads (``sessions.finding``)."""
    return Clock(active_seconds=row.active_seconds, running_since=row.running_since).active_at(now)


def _duration(row: Session | Thread, now: datetime) -> float:
    """Since creation; frozen when the row ended."""
    over = row.ended_at if row.status == "terminated" else None
    return round(max(0.0, ((over or now) - row.created_at).total_seconds()), 3)
