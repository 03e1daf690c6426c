"""One line about the system, cheap enough to be asked again with every change of the overview."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection

from sessions.harness.lease import LIVENESS_CLASS
from sessions.harness.limits import longest_pause

if TYPE_CHECKING:
    from datetime import datetime

LATE_SECONDS = 10.0

# Threads that a worker should have taken, and those that wait for a model to answer again.
COUNTS = """
SELECT
  (SELECT count(*) FROM pg_locks l WHERE l.locktype = 'advisory' AND l.classid = %s AND l.objid::bigint > 0
     AND l.objsubid = 2 AND l.granted
     AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())),
  count(*) FILTER (WHERE due), min(updated_at) FILTER (WHERE due),
  count(*) FILTER (WHERE held), count(*) FILTER (WHERE status = 'rescheduling'), clock_timestamp()
FROM (SELECT status, updated_at, coalesce(lease_expires > clock_timestamp(), false) AS held,
        coalesce(lease_expires <= clock_timestamp(), true) AND agent ->> 'type' IS DISTINCT FROM 'advisor'
          AND (status = 'running' OR wake_at IS NULL
            OR wake_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + %s * interval '1 second') AS due
      FROM agent_sessions_thread WHERE status IN ('running', 'rescheduling')) threads
"""


@dataclass(frozen=True, slots=True)
class Strip:
    """``queued``: turns that no worker has yet, the first of them since ``oldest``. ``late``: too long for chance.

    ``retrying``: threads whose last model request failed. ``sandbox`` is "ok" or what is wrong.
    """

    workers: int
    queued: int
    oldest: datetime | None
    late: bool
    turns: int
    retrying: int
    sandbox: str
    demo_only: bool


def strip(sandbox: str) -> Strip:
    """How the installation does right now. One query; ``sandbox``: the state of the sandbox host."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, [LIVENESS_CLASS, longest_pause(settings.HOLDFAST_RETRY_CEILING_SECONDS)])
        workers, queued, oldest, turns, retrying, now = cursor.fetchone()
    return Strip(
        workers=workers,
        queued=queued,
        oldest=oldest,
        late=oldest is not None and (now - oldest).total_seconds() > LATE_SECONDS,
        turns=turns,
        retrying=retrying,
        sandbox=sandbox,
        demo_only=not (settings.HOLDFAST_MODEL_BASE_URL or settings.HOLDFAST_MODEL_API_KEY),
    )
