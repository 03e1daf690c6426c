"""How the database keeps the rows that every step writes; set after each migration, and found set by the next.

Django's models have no words for it.
"""

from __future__ import annotations

from typing import Any

# What steps change again and again stands in columns no index holds: with room on its page the new version of a row
# stays beside the old one, and no index is written.
ROOM = "ALTER TABLE IF EXISTS {} SET (fillfactor = 50)"
ROOMY = ("agent_sessions_session", "agent_sessions_thread", "agent_sessions_usageslice")
# Django gives an id, and each reference to one, a second index for LIKE. Ids are asked for whole; every new entry of a
# log would be written to it.
FOR_PATTERNS = """
SELECT i.indexrelid::regclass::text FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid IN ('agent_sessions_event'::regclass, 'agent_sessions_session'::regclass,
                     'agent_sessions_thread'::regclass)
  AND i.indnatts = 1 AND a.attname LIKE '%%id'
  AND i.indclass[0] IN (SELECT oid FROM pg_opclass WHERE opcname = 'varchar_pattern_ops')
"""


def arrange(using: str, **_: Any) -> None:
    """Leave room on the pages of what changes often, drop indexes that nothing reads, and guard what rows hold."""
    from django.db import connections

    from sessions.models import shapes

    with connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regclass('agent_sessions_event') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return
        for table in ROOMY:
            cursor.execute(ROOM.format(table))
        cursor.execute(FOR_PATTERNS, [])
        for (index,) in cursor.fetchall():
            cursor.execute(f"DROP INDEX {index}")
        for statement in (one for guard in shapes.GUARDS for one in guard.statements()):
            cursor.execute(statement)
