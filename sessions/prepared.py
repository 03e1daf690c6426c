"""Statements that every step of a session runs, kept prepared by the database: it takes longer to parse and plan them
than to carry them out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from django.db import connection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.backends.utils import CursorWrapper


class _Cursor(psycopg.Cursor[Any]):
    """Binds values in the server, and prepares each statement at its first use on a connection."""

    def execute(
        self, query: Any, params: Any = None, *, prepare: bool | None = True, binary: bool | None = None
    ) -> Any:
        return super().execute(query, params, prepare=prepare, binary=binary)


def row(query: str, values: Iterable[Any]) -> tuple[Any, ...] | None:
    """The first row that a question has for an answer."""
    with cursor() as asking:
        asking.execute(query, plain(values))
        found: tuple[Any, ...] | None = asking.fetchone()
        return found


def cursor() -> CursorWrapper:
    """A cursor of Django's connection, in its transaction, counted and checked like any other of it."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        raw = _Cursor(connection.connection)
    wrapped: CursorWrapper = connection._prepare_cursor(raw)  # type: ignore[attr-defined]
    return wrapped


def plain(values: Iterable[Any]) -> list[str | None]:
    """Values as text. A statement is prepared anew for every other combination of its values' types."""
    return [None if value is None else str(value) for value in values]
