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
from sessions import machines
from sessions.harness.lease import LIVENESS_CLASS
from sessions.models import Event, Session, Thread
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
    "sweeper": "Sweeper",
}
# What helps where a part isn't there.
REMEDIES = {
    "database": "See that PostgreSQL runs and DATABASE_URL is right.",
    "nudges": "See that Redis or Valkey runs and REDIS_URL is right. Pages stay right on reload; nothing is lost.",
    "broker": "See that the broker runs and TASKS_URL is right. The sweeper wakes what was not heard.",
    "sandbox_host": "Start it: python -m agents.sandboxes.host --socket … --data …",
    "egress": "Start it: python -m credentials.egress --socket … --data … Sandboxes have no network without it.",
    "workers": "Start one: celery -A config worker -P threads -c 100",
    "sweeper": "Start one: manage.py sweeper. Schedules, time limits and lost work wait for it.",
}
# The lock that a worker holds while it lives, and its connection, which bears the worker's name.
WORKERS = """
SELECT l.objid::bigint, coalesce(a.application_name, ''), a.backend_start,
  (SELECT count(*) FROM agent_sessions_thread t WHERE t.status IN ('running', 'rescheduling')
     AND t.lease_expires > clock_timestamp() AND t.lease_owner LIKE '%%:' || l.objid::bigint)
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.classid = %s AND l.objid::bigint > 0 AND l.objsubid = 2 AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY a.backend_start, 1
"""
NUMBERS = """
SELECT current_setting('server_version'), pg_database_size(current_database()),
  (SELECT count(*) FROM agent_sessions_work w JOIN agents_environment e ON e.id = w.environment_id
   WHERE e.workspace_id = %(workspace)s AND w.state = 'queued'),
  (SELECT count(*) FROM agent_sessions_webhookdelivery d JOIN agent_sessions_webhookendpoint h ON h.id = d.endpoint_id
   WHERE h.workspace_id = %(workspace)s AND d.state = 'pending')
"""


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
    states = checks.states()
    parts = [Part(LABELS[name], state, REMEDIES[name]) for name, state in states.items()]
    # The report takes its time to be made, so that a host that hangs would be waited for as long.
    sandbox = states["sandbox_host"]
    report = _report() if sandbox == "ok" else None
    return {"parts": parts, **work(acting, sandbox), **parked(acting), **numbers(acting), "sandbox": report}


def work(acting: Acting, sandbox: str) -> dict[str, Any]:
    """Which workers live, what each holds, what waits to be taken, and what waits to be tried again."""
    with connection.cursor() as cursor:
        cursor.execute(WORKERS, [LIVENESS_CLASS])
        rows = cursor.fetchall()
    live = Thread.objects.filter(
        status__in=("running", "rescheduling"),
        session__workspace_id=acting.workspace_id,
        session__archived_at=None,
    ).exclude(agent__type="advisor")
    threads = list(live.select_related("session").only(*SHOWN).order_by("updated_at")[: LISTED * 3])
    now = timezone.now()
    late = now - timedelta(seconds=strip.LATE_SECONDS)
    held = [thread for thread in threads if thread.lease_expires and thread.lease_expires > now]
    free = [thread for thread in threads if thread not in held]
    return {
        "workers": [_worker(*row) for row in rows],
        "strip": strip.strip(sandbox),
        "machines": list(machines.listed()[:LISTED]),
        "drains": machines.may_drain(acting),
        "leases": held[:LISTED],
        "unclaimed": [one for one in free if one.status == "running" and one.updated_at < late][:LISTED],
        "retrying": [thread for thread in threads if thread.status == "rescheduling"][:LISTED],
    }


SHOWN = (
    *("session_id", "agent_name", "lease_owner", "lease_expires", "running_since", "status", "updated_at", "wake_at"),
    *("session__id", "session__title"),
)


def _worker(number: int, name: str, since: datetime | None, turns: int) -> Worker:
    host, _, rest = name.partition(":")
    return Worker(number, host or "?", rest.partition(":")[0], since, turns)


def parked(acting: Acting) -> dict[str, Any]:
    """Sessions that don't go on by themselves."""
    mine = Session.objects.filter(workspace_id=acting.workspace_id, archived_at=None)
    gave_up = mine.filter(status="idle", stop_reason__type="retries_exhausted").order_by("-created_at")[:LISTED]
    return {"parked": _parked(list(gave_up.select_related("agent").defer("agent_snapshot")))}


def _parked(sessions: list[Session]) -> list[Parked]:
    if not sessions:
        return []
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
        cursor.execute(NUMBERS, {"workspace": acting.workspace_id})
        version, size, outside, deliveries = cursor.fetchone()
    return {
        "database_size": size,
        "outside_queued": outside,
        "deliveries_pending": deliveries,
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
