"""How the sessions of an agent went: the figures of its card and of each of its versions."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import connection

from sessions.projections.status import stop_reasons

if TYPE_CHECKING:
    from collections.abc import Sequence

NEWEST = 200
# The newest sessions of each agent by its index, so that a card costs the same however many there are. A fork that
# rests as its origin did has done nothing itself.
FIGURES = """
select a.id, count(s.id),
       count(*) filter (where s.ended), count(*) filter (where s.done),
       percentile_cont(0.5) within group (order by s.cost) filter (where s.ended),
       percentile_cont(0.5) within group (order by s.active_seconds) filter (where s.ended)
from unnest(%(agents)s::text[]) as a(id)
left join lateral (
    select id, cost::float8 as cost, active_seconds,
           status = 'terminated' or (status = 'idle' and stop_reason->>'type' = any(%(ended)s)) as ended,
           status = 'idle' and stop_reason->>'type' = any(%(done)s) as done
    from agent_sessions_session
    where agent_id = a.id and (forked_at is null or active_seconds > 0)
    order by created_at desc limit %(newest)s
) s on true
group by a.id
"""
RUNNING = """
select agent_id, count(*) from agent_sessions_session
where agent_id = any(%(agents)s) and status in ('running', 'rescheduling') and archived_at is null group by agent_id
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of the newest ``NEWEST`` sessions of an agent; medians of those whose turn ended, None while none has.

    ``success``: how many of a hundred ended as they should. ``running``: all of them, now. Seconds are of work.
    """

    sessions: int = 0
    ended: int = 0
    done: int = 0
    cost: Decimal | None = None
    seconds: float | None = None
    running: int = 0

    @property
    def success(self) -> int | None:
        return round(100 * self.done / self.ended) if self.ended else None

    @property
    def cut(self) -> bool:
        return self.sessions >= NEWEST


def of_agents(agent_ids: Sequence[str]) -> dict[str, Figures]:
    """The figures of each agent. Two queries."""
    if not agent_ids:
        return {}
    done = stop_reasons("done")
    given: dict[str, Any] = {
        "agents": list(agent_ids),
        "done": done,
        "ended": [*done, *stop_reasons("failed"), "budget_reached"],
        "newest": NEWEST,
    }
    with connection.cursor() as cursor:
        cursor.execute(RUNNING, given)
        running = dict(cursor.fetchall())
        cursor.execute(FIGURES, given)
        return {
            agent_id: Figures(
                sessions,
                ended,
                finished,
                None if cost is None else Decimal(str(cost)),
                seconds,
                running.get(agent_id, 0),
            )
            for agent_id, sessions, ended, finished, cost, seconds in cursor.fetchall()
        }
