"""What the system page shows: parts, workers and what they hold, the queue, what is stuck, versions.

Counts are the installation's; sessions are those of the reader's workspace only.
"""

from __future__ import annotations

import platform
import tomllib
from dataclasses import dataclass
from datetime import timedelta
from importlib import metadata
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from agents.sandboxes import registry
from agents.sandboxes.base import SandboxError
from sessions import events as ev
from sessions.harness.lease import LIVENESS_CLASS
from sessions.models import Event, Machine, Session, Thread, WebhookDelivery, Work
from sessions.models.work import QUEUED
from sessions.system import checks, strip

if TYPE_CHECKING:
    from datetime import datetime

    from agents.sandboxes.base import Report
    from contract.acting import Acting

LISTED = 50
PACKAGES = ("Django", "anthropic", "celery", "channels", "daphne", "psycopg", "redis")
PARTS = ("parts", "workers", "stuck", "numbers")

LABELS = {
    "database": "Database",
    "nudges": "Live nudges",
    "broker": "Task broker",
    "sandbox_host": "Sandbox host",
    "egress": "Egress proxy",
    "workers": "Workers",
}
# What helps where a part isn't there.
REMEDIES = {
    "database": "See that PostgreSQL runs and DATABASE_URL is right.",
    "nudges": "See that Redis or Valkey runs and REDIS_URL is right. Pages stay right on reload; nothing is lost.",
    "broker": "See that the broker runs and TASKS_URL is right. The sweeper wakes what was not heard.",
    "sandbox_host": "Start it: python -m agents.sandboxes.host --socket … --data …",
    "egress": "Start it: python -m credentials.egress --socket … --data … Sandboxes have no network without it.",
    "workers": "Start one: celery -A config worker -P threads -c 100",
}
# The lock that a worker holds while it lives, and its connection, which bears the worker's name.
WORKERS = """
SELECT l.objid::bigint, coalesce(a.application_name, ''), a.backend_start,
  (SELECT count(*) FROM agent_sessions_thread t WHERE t.lease_expires > clock_timestamp()
     AND t.lease_owner LIKE '%%:' || l.objid::bigint)
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.classid = %s AND l.objsubid = 2 AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY a.backend_start, 1
"""
DATABASE = "SELECT current_setting('server_version'), pg_database_size(current_database())"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the installation: ``state`` is "ok" or what is wrong, ``remedy`` what to do then."""

    label: str
    state: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process that lives: where it runs, since when, and how many turns it is at."""

    number: int
    host: str
    pid: str
    since: datetime | None
    turns: int


@dataclass(frozen=True, slots=True)
class Parked:
    """A session whose turn gave up; ``error`` is what it reported last, ``type`` the kind of it."""

    session: Session
    error: str
    type: str
    at: datetime


def context(acting: Acting) -> dict[str, Any]:
    """Everything the page shows."""
    return {**parts(), **workers(acting), **stuck(acting), **numbers(acting)}


def parts() -> dict[str, Any]:
    """Each part with its state."""
    return {
        "parts": [Part(LABELS[name], check(), REMEDIES[name]) for name, check in checks.CHECKS.items()],
    }


def workers(acting: Acting) -> dict[str, Any]:
    """Who lives, what each holds, and what waits to be taken."""
    with connection.cursor() as cursor:
        cursor.execute(WORKERS, [LIVENESS_CLASS])
        rows = cursor.fetchall()
    held = Thread.objects.filter(lease_expires__gt=timezone.now())
    mine = held.filter(session__workspace_id=acting.workspace_id).select_related("session")
    return {
        "workers": [_worker(*row) for row in rows if row[0] > 0],
        "sweeper": any(row[0] == 0 for row in rows),
        "leases": list(mine.order_by("running_since").only(*LEASE_COLUMNS)[:LISTED]),
        "held": held.count(),
        "strip": strip.strip(),
        "machines": list(Machine.objects.order_by("name")[:LISTED]),
    }


LEASE_COLUMNS = (
    *("session_id", "agent_name", "lease_owner", "lease_expires", "running_since", "status"),
    *("session__id", "session__title"),
)


def _worker(number: int, name: str, since: datetime | None, turns: int) -> Worker:
    host, _, rest = name.partition(":")
    return Worker(number, host or "?", rest.partition(":")[0], since, turns)


def stuck(acting: Acting) -> dict[str, Any]:
    """Sessions that don't go on by themselves, and those that take a while to."""
    mine = Session.objects.filter(workspace_id=acting.workspace_id, archived_at=None)
    mine = mine.select_related("agent").defer("agent_snapshot")
    gave_up = list(mine.filter(status="idle", stop_reason__type="retries_exhausted").order_by("-updated_at")[:LISTED])
    late = timezone.now() - timedelta(seconds=strip.LATE_SECONDS)
    waiting = Thread.objects.filter(session__in=mine).select_related("session").defer("session__agent_snapshot")
    return {
        "parked": _parked(gave_up),
        "unclaimed": list(
            waiting.filter(status="running", updated_at__lt=late)
            .exclude(lease_expires__gt=timezone.now())
            .exclude(agent__type="advisor")
            .order_by("updated_at")[:LISTED]
        ),
        "retrying": list(waiting.filter(status="rescheduling").order_by("wake_at")[:LISTED]),
    }


def _parked(sessions: list[Session]) -> list[Parked]:
    errors = Event.objects.filter(session__in=sessions, type=ev.SESSION_ERROR).order_by("session_id", "-seq")
    latest = {row.session_id: row for row in errors.distinct("session_id").only("session_id", "payload", "created_at")}
    found = []
    for session in sessions:
        event = latest.get(session.pk)
        error = (event.payload.get("error") or {}) if event else {}
        found.append(Parked(session, str(error.get("message", "")), str(error.get("type", "")), session.updated_at))
    return found


def numbers(acting: Acting) -> dict[str, Any]:
    """Sizes, queues of other kinds, and versions."""
    with connection.cursor() as cursor:
        cursor.execute(DATABASE)
        version, size = cursor.fetchone()
    outside = Work.objects.filter(environment__workspace_id=acting.workspace_id, state=QUEUED)
    deliveries = WebhookDelivery.objects.filter(endpoint__workspace_id=acting.workspace_id, state="pending")
    return {
        "database_size": size,
        "outside_queued": outside.count(),
        "deliveries_pending": deliveries.count(),
        "sandbox": _report(),
        "versions": {**_versions(), "PostgreSQL": version, "Python": platform.python_version()},
    }


def _versions() -> dict[str, str]:
    project = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = {"Holdfast": str(project["version"])}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _report() -> Report | None:
    """What the sandbox host says of itself; None if it doesn't answer."""
    try:
        return registry.client(settings.HOLDFAST.sandbox, settings.HOLDFAST_SANDBOX_SOCKET).probe()
    except (SandboxError, OSError):
        return None
