"""May this worker take this thread now? Sessions stay with the machine of their sandbox, and workspaces and people
may run only so many at once; the others wait their turn, the person with the fewest running ones first.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection

from sessions import prepared

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACES = ("concurrent_sessions", "concurrent_sessions_per_person")
MACHINE_GRACE_LEASES = 5  # a machine whose workers are silent for so many lease times is taken for gone
QUEUE_LOCK_CLASS = 0x4851  # "HQ": one admission at a time in a workspace that has a limit

ABOUT = """
SELECT s.id, s.workspace_id, coalesce(s.created_by_id::text, s.created_by_key), w.limits, s.machine,
  EXISTS (SELECT 1 FROM agent_sessions_machine m
          WHERE m.name = s.machine AND m.seen_at > clock_timestamp() - %s * interval '1 second'),
  EXISTS (SELECT 1 FROM agent_sessions_machine m WHERE m.name = %s AND m.draining)
FROM agent_sessions_thread t JOIN agent_sessions_session s ON s.id = t.session_id
JOIN agents_workspace w ON w.id = s.workspace_id WHERE t.id = %s
"""
# Of a thread ``t``, its session ``s`` and workspace ``w``: this machine may have it, whoever else runs what.
FREELY = f"""
NOT w.limits ?| ARRAY[{", ".join(map(repr, PLACES))}] AND EXISTS (
  SELECT FROM (VALUES (%s * interval '1 second', %s)) AS here (grace, name) WHERE s.machine = here.name OR NOT EXISTS (
    SELECT FROM agent_sessions_machine m
    WHERE m.name = s.machine AND m.seen_at > clock_timestamp() - here.grace OR m.name = here.name AND m.draining))
"""  # noqa: S608  names of ours
# The time is asked once, not for each of thousands that wait.
RUNNING = """
SELECT count(DISTINCT s.id), count(DISTINCT s.id) FILTER (
    WHERE coalesce(s.created_by_id::text, s.created_by_key) = %s)
FROM agent_sessions_session s JOIN agent_sessions_thread t ON t.session_id = s.id
WHERE s.workspace_id = %s AND s.id <> %s AND t.lease_expires > (SELECT clock_timestamp())
  AND t.status IN ('running', 'rescheduling')
"""
# Everyone's waiting sessions numbered by age, after as many as each has running: a round-robin over people.
WAITING = """
WITH live AS (
  SELECT s.id, coalesce(s.created_by_id::text, s.created_by_key) AS person, min(t.id) AS thread,
    min(t.running_since) AS since, bool_or(t.lease_expires > clock_timestamp()) IS TRUE AS runs
  FROM agent_sessions_session s JOIN agent_sessions_thread t ON t.session_id = s.id
  WHERE s.workspace_id = %s AND s.status = 'running' AND t.status = 'running'
    AND t.agent ->> 'type' IS DISTINCT FROM 'advisor' GROUP BY s.id),
busy AS (SELECT person, count(*) AS sessions FROM live WHERE runs GROUP BY person)
SELECT thread, id FROM (
  SELECT w.thread, w.id, w.since,
    row_number() OVER (PARTITION BY w.person ORDER BY w.since, w.id) + coalesce(b.sessions, 0) AS turn
  FROM live w LEFT JOIN busy b ON b.person = w.person WHERE NOT w.runs) ranked ORDER BY turn, since, id LIMIT %s
"""
ALIVE = """
SELECT name FROM agent_sessions_machine WHERE seen_at > clock_timestamp() - %s * interval '1 second'
"""
ELSEWHERE = """
SELECT m.name FROM agent_sessions_thread t JOIN agent_sessions_session s ON s.id = t.session_id
JOIN agent_sessions_machine m ON m.name = s.machine
WHERE t.id = %(thread)s AND m.name <> %(here)s AND m.seen_at > clock_timestamp() - %(grace)s * interval '1 second'
  AND t.status IN ('running', 'rescheduling') AND (t.lease_expires IS NULL OR t.lease_expires < clock_timestamp())
"""
SEEN = """
INSERT INTO agent_sessions_machine (name, seen_at) VALUES (%s, clock_timestamp())
ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at
"""


def admitted(cursor: Any, thread_id: str) -> bool:
    """True if this worker may claim the thread. Inside of the claim's transaction, with a cursor of ``prepared``."""
    here = settings.HOLDFAST_MACHINE
    cursor.execute(ABOUT, prepared.plain([grace(), here, thread_id]))
    row = cursor.fetchone()
    if row is None:
        return False
    session, workspace, person, limits, machine, machine_lives, draining = row
    if machine != here and (draining or (machine and machine_lives)):
        return False
    most, most_each = limits_of(limits)
    if most is None and most_each is None:
        return True
    cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", prepared.plain([QUEUE_LOCK_CLASS, workspace]))
    cursor.execute(RUNNING, prepared.plain([person, workspace, session]))
    running, of_person = cursor.fetchone()
    return (most is None or running < most) and (most_each is None or of_person < most_each)


def unlimited() -> bool:
    """Whether no limit of the installation's own says how many sessions may run at once."""
    return limits_of({}) == (None, None)


def grace() -> float:
    """Seconds of silence after which a machine is taken for gone. Heartbeats come three times a lease time."""
    return MACHINE_GRACE_LEASES * float(settings.HOLDFAST_LEASE_SECONDS)


def machines_alive() -> frozenset[str]:
    """The machines whose workers have been seen lately."""
    with connection.cursor() as cursor:
        cursor.execute(ALIVE, [grace()])
        return frozenset(row[0] for row in cursor.fetchall())


def elsewhere(thread_id: str) -> str:
    """The other machine that has a waiting thread's sandbox and lives; empty if there is none."""
    with connection.cursor() as cursor:
        cursor.execute(ELSEWHERE, {"thread": thread_id, "here": settings.HOLDFAST_MACHINE, "grace": grace()})
        row = cursor.fetchone()
        return str(row[0]) if row else ""


def limits_of(stored: Mapping[str, Any] | str) -> tuple[int | None, int | None]:
    """How many sessions of a workspace, and of one person in it, may run at once; the tighter of setting and own."""
    own = json.loads(stored) if isinstance(stored, str) else stored
    found = []
    for name in PLACES:
        bounds = [level[name] for level in (settings.HOLDFAST_LIMITS, own) if level.get(name)]
        found.append(min(bounds) if bounds else None)
    return found[0], found[1]


def waiting(workspace_id: str, most: int | None = None) -> list[tuple[str, str]]:
    """(thread, session) of the running sessions that no worker has, in the order in which they get their turn.

    ``most``: so many of them at most.
    """
    with connection.cursor() as cursor:
        cursor.execute(WAITING, [workspace_id, most])
        return [(row[0], row[1]) for row in cursor.fetchall()]


def place(workspace_id: str, session_id: str) -> int | None:
    """A session's place in its workspace's queue, from 1; None if it doesn't wait."""
    sessions = [session for _, session in waiting(workspace_id)]
    return sessions.index(session_id) + 1 if session_id in sessions else None


def seen(link: Any) -> None:
    """This machine's workers live; told with every heartbeat."""
    link.execute(SEEN, [settings.HOLDFAST_MACHINE])
