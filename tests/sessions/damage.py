"""Rows that nobody can read, as in a database that was restored without what guards them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.db import connection

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = {"session": "agent_sessions_session", "thread": "agent_sessions_thread"}
PLAIN = {"status", "active_seconds", "cost"}  # columns that hold no JSON
OF: dict[str, dict[str, list[Any]]] = {
    "session": {
        "agent_snapshot": [{"tools": 5}, [], {"name": "x", "model": "y", "tools": [1]}],
        "metadata": [[1], {"a": 1}],
        "vault_ids": [{}, [1]],
        "limits": [[1], {"steps": "x"}, {"list_cost": 5}],
        "permission_rules": [{}, [1]],
        "remembered_rules": ["x", [None]],
        "budget": [5, {}, {"max_list_cost": {"amount": "x"}}],
        "stop_reason": ["idle", {}, {"type": 5}],
        "usage": [[], {"steps": "many"}],
        "outcomes": [5, [5], {"a": 1}],
        "status": ["banana"],
        "active_seconds": ["NaN", "Infinity"],
        "cost": ["NaN"],
    },
    "thread": {
        "agent": [[], {}, {"name": 5}, {"name": "x", "model": {}, "tools": 7}],
        "stop_reason": ["idle", {}],
        "usage": [{"steps": []}],
        "pending": [5, [5], [{"id": 1}]],
        "status": ["banana"],
        "active_seconds": ["NaN"],
        "cost": ["NaN"],
    },
}
CASES = [(table, column) for table, columns in OF.items() for column in columns]


def damage(table: str, row: str, column: str, value: Any) -> None:
    """Write a value into a column of a session's or thread's row."""
    with connection.cursor() as cursor:
        sql = f"UPDATE {TABLES[table]} SET {column} = %s WHERE id = %s"
        cursor.execute(sql, [value if column in PLAIN else json.dumps(value), row])


@contextmanager
def without_checks() -> Iterator[None]:
    """The tables without what refuses such values; it comes back for what is written after it."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in TABLES.values():
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for table in TABLES.values():
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
