"""Statements that every step of a session runs, kept prepared by the database: it takes longer to parse and plan them
than to carry them out.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import psycopg
from django.db import connection, models
from django.db.models.query import ModelIterable
from django.db.transaction import TransactionManagementError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from django.db.backends.utils import CursorWrapper

Row = TypeVar("Row", bound=models.Model)
TEXT, NUMBER = "\0", -(2**62)  # stand for values that each question has anew
MISSING = object()


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


class Question(Generic[Row]):
    """Rows of a model, asked for by a queryset that is compiled once: Django takes longer to put one together than the
    database to answer it. In what ``made`` returns ``TEXT`` and ``NUMBER`` stand for the values that change.

    Raises ``TransactionManagementError`` where rows are to be locked and there is no transaction.
    """

    def __init__(self, made: Callable[[], models.QuerySet[Row]]) -> None:
        self._made = made
        self._compiled: _Compiled | None = None

    def rows(self, *values: Any) -> list[Row]:
        """The rows for these values, which stand in the order in which the statement has them."""
        if self._compiled is None:
            queryset = self._made()
            compiler = queryset.query.get_compiler(queryset.db)
            self._compiled = _Compiled(queryset, compiler, *compiler.as_sql())
        return list(self._compiled.answered(values))


class _Compiled(NamedTuple):
    queryset: models.QuerySet[Any]
    compiler: Any
    sql: str
    values: Sequence[Any]

    def answered(self, values: Sequence[Any]) -> Iterator[Any]:
        if self.queryset.query.select_for_update and not connection.in_atomic_block:
            raise TransactionManagementError("Rows can't be locked outside of a transaction.")
        anew = iter(values)
        given = [next(anew, MISSING) if value in (TEXT, NUMBER) else value for value in self.values]
        if MISSING in given or next(anew, MISSING) is not MISSING:
            raise ValueError(f"{len(values)} values are not as many as change in: {self.sql}")
        with cursor() as asking:
            asking.execute(self.sql, plain(given))
            found = asking.fetchall()
        compiler = copy.copy(self.compiler)  # other threads ask the same
        compiler.execute_sql = lambda **_: [found]
        return iter(ModelIterable(_Answered(self.queryset, compiler)))  # type: ignore[arg-type]


class _Answered:
    """A queryset whose question is answered already, as Django's maker of instances looks at it."""

    def __init__(self, queryset: models.QuerySet[Any], compiler: Any) -> None:
        self._queryset, self._compiler = queryset, compiler

    @property
    def query(self) -> _Answered:
        return self

    def get_compiler(self, using: str) -> Any:
        return self._compiler

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queryset, name)
