"""Time in which nobody had a running thread: its machine was off, the clock jumped, no worker was free.

A lease lasts some seconds, so that is all that a clock that jumps, or a night without workers, may add to the running
time of a session, which its caps and its price are measured by: what lies between the end of one lease and the next
claim is told on the log (``ops.unattended``) and doesn't count.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Q

from sessions import events as ev
from sessions.events import Draft
from sessions.models import Event

if TYPE_CHECKING:
    from datetime import datetime

    from sessions.harness.lease import Lease

ROUNDED = timedelta(milliseconds=100)
LOCK_CLASS = 0x4855  # "HU": the threads of a session are looked at one after another

# What a thread's row says while no lease does: when it began to run, or what its last worker logged before it left.
LEFT = """
SELECT greatest(t.running_since, (
  SELECT e.created_at FROM agent_sessions_event e WHERE e.thread_id = t.id AND e.type NOT LIKE 'user.%%'
  ORDER BY e.seq DESC LIMIT 1)) FROM agent_sessions_thread t WHERE t.id = %s
"""
# When somebody last was at any other thread of the session. A lease that lasts yet lies ahead.
OTHERS = """
SELECT greatest(max(t.lease_expires), (
  SELECT e.created_at FROM agent_sessions_event e
  WHERE e.session_id = %(session)s AND e.type NOT LIKE 'user.%%' AND e.type NOT LIKE 'ops.%%'
  ORDER BY e.seq DESC LIMIT 1)) FROM agent_sessions_thread t WHERE t.session_id = %(session)s AND t.id <> %(thread)s
"""


@dataclass(frozen=True, slots=True)
class Unattended:
    """From when to when nobody had the thread. ``session_since``: the same of its whole session; None if somebody
    was at another of its threads.
    """

    since: datetime
    until: datetime
    session_since: datetime | None

    def note(self) -> Draft:
        """The entry by which this time doesn't count."""
        whole = self.session_since.isoformat() if self.session_since else None
        seconds = round((self.until - self.since).total_seconds(), 3)
        return Draft(ev.OPS_UNATTENDED, {"seconds": seconds, "since": self.since.isoformat(), "session_since": whole})


def silence(lease: Lease, ttl: float) -> float | None:
    """For how many seconds nobody had heard of the worker whose lease ran out, when this one was claimed: since it last
    renewed it, or put something on the log. None for one that was found dead, or that handed the thread over.
    """
    if lease.gap is None:
        return None
    now = lease.claimed_at[0]
    expired = now - timedelta(seconds=lease.gap)
    aside = Q(type__startswith="user.") | Q(type__startswith=ev.OPS_PREFIX) & ~Q(type=ev.OPS_WORKER_LOST)
    rows = Event.objects.filter(thread_id=lease.thread_id).exclude(aside).order_by("-seq")
    kind, at = rows.values_list("type", "created_at").first() or ("", expired)
    if kind == ev.OPS_WORKER_LOST and at >= expired - ROUNDED:  # the sweeper ended the lease, and said so
        return None
    heard = max(min(at, expired), expired - timedelta(seconds=ttl))
    return round((now - heard).total_seconds(), 2)


def found(
    cursor: Any, session_id: str, thread_id: str, expired: datetime | None, now: datetime, tolerance: float
) -> Unattended | None:
    """What lies between a thread's last lease (which ran out at ``expired``, or was given back) and its claim ``now``,
    if that is more than ``tolerance`` seconds. Inside of the claim's transaction, after it: of two threads claimed at
    once the second sees that the first one's worker is back.
    """
    since = expired
    if since is None:
        cursor.execute(LEFT, [thread_id])
        since = cursor.fetchone()[0]
    if since is None or (now - since).total_seconds() <= tolerance:
        return None
    cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [str(LOCK_CLASS), session_id])
    cursor.execute(OTHERS, {"session": session_id, "thread": thread_id})
    others = cursor.fetchone()[0]
    whole = max(since, others) if others else since
    alone = (now - whole).total_seconds() > tolerance
    return Unattended(since, now, whole if alone else None)
