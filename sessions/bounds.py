"""The caps that apply to a session, from the installation down to itself: what is stored, read and compared.

They are guard rails, not part of a version: the agent's limits are those of its current version, so that raising one
helps sessions that are already running.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from contract import zones
from contract.schema import OURS
from sessions import prepared, usage
from sessions.harness.limits import DAILY, Caps, Reached, Used
from sessions.ledgers import parsed
from sessions.projected import clock, session_columns, spent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from sessions.models import Session, Thread

STORED = """
SELECT (SELECT v.spec #> %s::text[] FROM agents_agentversion v WHERE v.agent_id = a.id ORDER BY v.version DESC LIMIT 1),
  w.limits
FROM agents_agent a JOIN agents_workspace w ON w.id = a.workspace_id WHERE a.id = %s
"""


def caps_of(session: Session, found: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None) -> Caps:
    """All levels that bound this session. One query, a second one where a day's use is limited.

    ``found``: what ``stored`` would tell of its agent, where it was just read.
    """
    of_agent, of_workspace = found or stored(session.agent_id)
    levels = (
        ("installation", settings.HOLDFAST_LIMITS),
        ("workspace", of_workspace),
        ("agent", of_agent),
        ("session", session.limits),
    )
    daily = any(caps.get(kind) for _, caps in levels for kind in DAILY)
    return Caps(levels, today(session.workspace_id) if daily else {})


def today(workspace_id: str) -> dict[str, Decimal | int]:
    """What all sessions of a workspace have used since midnight: cents and tokens, by the kinds of ``DAILY``."""
    used = usage.spent_since(day(), workspace_id)
    return {"list_cost_per_day": used.cost * 100, "tokens_per_day": used.tokens}


def day() -> datetime:
    """When the day began that daily caps are of."""
    return zones.today(ZoneInfo(settings.TIME_ZONE))


def stored(agent_id: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The limits of an agent's current version and of its workspace."""
    with prepared.cursor() as cursor:
        cursor.execute(STORED, [[OURS, "limits"], agent_id])
        found = cursor.fetchone()
    return (parsed(found[0]) or {}, parsed(found[1]) or {}) if found else ({}, {})


def own_caps(session: Session, thread: Thread) -> Caps:
    """What bounds a child thread by itself, besides what bounds the session: the limits of its own agent."""
    agent_id = thread.agent.get("id")
    if thread.parent_id is None or agent_id in (None, session.agent_id):
        return Caps()
    return Caps((("agent", stored(agent_id)[0]),), agent_id=agent_id)


def patience(session: Session, thread: Thread) -> int | None:
    """Seconds that a call of this thread waits for a person; None: for as long as it takes."""
    bounds = (caps_of(session).approval_seconds, own_caps(session, thread).approval_seconds)
    return min((seconds for seconds in bounds if seconds is not None), default=None)


def used(session: Session) -> Used:
    """What all threads of a session have used together."""
    columns, now = session_columns(session), timezone.now()
    return Used.of(columns.spent, columns.cost(now), columns.clock.active_at(now))


def reached(session: Session) -> Reached | None:
    """The cap that leaves a session no room for another model request."""
    return caps_of(session).reached(used(session))


def holding(session: Session) -> list[Reached]:
    """All caps that leave a session no room for another model request."""
    return list(caps_of(session).all_reached(used(session)))


def reached_alone(session: Session, thread: Thread) -> Reached | None:
    """The cap of a child thread's own agent that leaves the thread no room for another model request."""
    return own_caps(session, thread).reached(used_alone(thread))


def used_alone(thread: Thread) -> Used:
    """What one thread has used by itself."""
    return Used.of(spent(thread), thread.cost, clock(thread).active_at(timezone.now()))
