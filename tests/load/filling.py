"""Seed an installation's database with many copies of one real session: by the database itself, in minutes."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import md5
from typing import TYPE_CHECKING, Any

from django.db import connection

from sessions.models import Session
from tests.live import wait_for
from tests.sdk.talk import TOOLSET, client_of, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.live import Installation

TOOLS: list[Any] = [{"type": TOOLSET}]
STEPS = 2
BLOCK = 100  # sessions whose events lie between each other's, as those of sessions that ran at the same time do
BATCH = 5_000  # sessions a statement

# Ids sort by time, as real ones do; what differs between two rows is at their end.
SESSIONS = """
INSERT INTO agent_sessions_session SELECT (jsonb_populate_record(s, jsonb_build_object(
  'id', 'sesn_Seed' || lpad(n::text, 10, '0') || left(md5(n::text), 10), 'title', 'Seeded ' || n,
  'created_at', s.created_at - (%(count)s - n) * interval '1 minute', 'updated_at', s.updated_at))).*
FROM agent_sessions_session s, generate_series(1, %(count)s) n WHERE s.id = %(like)s
"""
THREADS = """
INSERT INTO agent_sessions_thread SELECT (jsonb_populate_record(t, jsonb_build_object(
  'id', 'sthr_Seed' || lpad(n::text, 10, '0') || left(md5(n::text), 10),
  'session_id', 'sesn_Seed' || lpad(n::text, 10, '0') || left(md5(n::text), 10)))).*
FROM agent_sessions_thread t, generate_series(1, %(count)s) n WHERE t.session_id = %(like)s AND t.parent_id IS NULL
"""
EVENTS = """
INSERT INTO {table}
  (id, session_id, thread_id, seq, type, on_session, payload, private, created_at, processed_at, words)
SELECT 'sevt_Seed' || lpad((n / %(block)s)::text, 7, '0') || lpad(at.seq::text, 5, '0')
    || lpad((n %% %(block)s)::text, 5, '0'),
  'sesn_Seed' || lpad(n::text, 10, '0') || left(md5(n::text), 10),
  'sthr_Seed' || lpad(n::text, 10, '0') || left(md5(n::text), 10),
  at.seq, p.type, p.on_session, p.payload, p.private, p.created_at, p.processed_at,
  CASE WHEN p.words IS NOT NULL THEN p.words || to_tsvector('simple', 'needle' || n) END
FROM generate_series(%(first)s::int, %(last)s::int) n CROSS JOIN generate_series(1, %(each)s) AS at(seq)
JOIN agent_sessions_event p ON p.session_id = %(like)s AND p.seq = 1 + (at.seq - 1) %% %(pattern)s
ORDER BY n / %(block)s, at.seq, n
"""


@dataclass(frozen=True)
class Pattern:
    """A session that came to rest, with a log of ``length`` events, of which all others are copies."""

    session_id: str
    workspace_id: str
    length: int


def pattern(installation: Installation) -> Pattern:
    """One real conversation of the demo model, tools and sandbox included."""
    client = client_of(installation)
    environment = next(iter(client.beta.environments.list()))
    agent = client.beta.agents.create(name="Pattern", model="demo", tools=TOOLS)
    made = client.beta.sessions.create(agent=agent.id, environment_id=environment.id)
    said: Any = text(f"[[demo: steps={STEPS}]]")
    client.beta.sessions.events.send(made.id, events=[said])

    def rests() -> bool:
        latest = client.beta.sessions.events.list(made.id, order="desc", limit=1, types=["session.status_idle"])
        return bool(latest.data)

    wait_for(rests, 60, "the session that is copied did not come to rest")
    row = Session.objects.get(pk=made.id)
    return Pattern(made.id, row.workspace_id, row.last_seq)


def seed_sessions(like: Pattern, count: int) -> None:
    """``count`` sessions at rest, with a thread each and no events."""
    values: dict[str, Any] = {"like": like.session_id, "count": count}
    with connection.cursor() as cursor:
        cursor.execute(SESSIONS, values)
        cursor.execute(THREADS, values)
        cursor.execute("VACUUM ANALYZE agent_sessions_session, agent_sessions_thread")
        cursor.execute("CHECKPOINT")  # what the seeding left to do is done


def fill(table: str, like: Pattern, numbers: Sequence[int], each: int) -> None:
    """``each`` events to every seeded session of these numbers, in a table like that of the events."""
    shared: dict[str, Any] = {"like": like.session_id, "pattern": like.length, "each": each, "block": BLOCK}
    with connection.cursor() as cursor:
        for first in range(numbers[0], numbers[-1] + 1, BATCH):
            last = min(first + BATCH - 1, numbers[-1])
            cursor.execute(EVENTS.format(table=table), {**shared, "first": first, "last": last})


def session_id(number: int) -> str:
    """The id of a seeded session, as the statements above make it."""
    return _id("sesn", number)


def thread_id(number: int) -> str:
    return _id("sthr", number)


def _id(prefix: str, number: int) -> str:
    return f"{prefix}_Seed{number:010d}{md5(str(number).encode(), usedforsecurity=False).hexdigest()[:10]}"
