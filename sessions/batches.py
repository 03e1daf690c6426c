"""Writes of a process's turns that come at the same time, as one commit.

A commit costs the database and the disk the same whether it holds one turn's entries or ten turns', and so does an
answer that a thread has to be woken for. So a thread or two carry out what has gathered, for the others as well; while
they wait for the disk, the next batch gathers. A write that comes alone is carried out at once, as any other statement.

The writes of a batch are of different sessions and don't depend on each other. Each is answered when all are on disk.
If one fails the database takes back the whole batch, and each is carried out anew by itself.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, OperationalError, connection

from sessions import prepared

if TYPE_CHECKING:
    from collections.abc import Sequence

AT_ONCE = 2  # batches under way
MOST = 16  # writes of a batch
# Whoever waits longer for those under way, one of whose rows somebody else holds say, begins another batch.
PATIENCE_SECONDS = 0.25
# A row that somebody else holds is waited for by its own write alone, and not by those beside it.
WAIT_BRIEFLY = "SELECT set_config('lock_timeout', '100ms', true)"


def _taken() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class _Write:
    """One statement, and what became of it: a row or none, an error, or that it is to be carried out ``alone``.

    ``turn`` is released when it was answered, or when its thread is to carry out ``batch``.
    """

    session_id: str
    thread_id: str
    sql: str
    values: Sequence[Any]
    turn: threading.Lock = field(default_factory=_taken)
    batch: list[_Write] | None = None
    row: tuple[Any, ...] | None = None
    error: Exception | None = field(default_factory=lambda: OperationalError("The thread that had the batch ended."))
    alone: bool = False

    def answered(self, row: tuple[Any, ...] | None) -> None:
        self.row, self.error = row, None


class Batches:
    """The writes of one process that wait, and how many batches are under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way = 0
        self._waiting: list[_Write] = []  # only while as many batches are under way as may be

    def row(self, session_id: str, thread_id: str, sql: str, values: Sequence[Any]) -> tuple[Any, ...] | None:
        """The first row of what a statement answers that writes rows of this session alone; None if there is none.

        Not for who is in a transaction. Raises what the statement does.
        """
        mine = _Write(session_id, thread_id, sql, values)
        if (batch := self._batch_with(mine)) is not None:
            try:
                _carry_out(batch)
            finally:
                self._pass_on()
                for other in batch:
                    if other is not mine:
                        other.turn.release()
        if mine.alone:
            return prepared.row(sql, values)
        if mine.error is not None:
            raise mine.error
        return mine.row

    def _batch_with(self, mine: _Write) -> list[_Write] | None:
        """What this thread is to carry out; None if another one has answered it."""
        with self._lock:
            if self._under_way < AT_ONCE:
                self._under_way += 1
                return [mine]
            self._waiting.append(mine)
        connection.close()  # back to the pool: who carries out the batch may need it
        if not mine.turn.acquire(timeout=PATIENCE_SECONDS):
            with self._lock:
                if mine in self._waiting:
                    self._under_way += 1
                    return self._gathered(mine)
            mine.turn.acquire()  # somebody has just taken it: they are as quick as WAIT_BRIEFLY says
        return mine.batch

    def _pass_on(self) -> None:
        """A batch is done: the first of those that wait carries out the next."""
        with self._lock:
            if not self._waiting:
                self._under_way -= 1
                return
            first = self._waiting[0]
            first.batch = self._gathered(first)
        first.turn.release()

    def _gathered(self, first: _Write) -> list[_Write]:
        """A batch of what waits, one write a session: the next one of a session has to see the one before it."""
        found = {first.session_id: first}
        for one in self._waiting:
            if len(found) < MOST:
                found.setdefault(one.session_id, one)
        batch = list(found.values())
        self._waiting = [one for one in self._waiting if one not in batch]
        return batch


def _carry_out(batch: list[_Write]) -> None:
    if len(batch) == 1:
        (only,) = batch
        only.answered(prepared.row(only.sql, only.values))
        return
    batch.sort(key=lambda one: one.thread_id)  # whoever locks rows of several threads does so in this order
    try:
        rows = _together(batch)
    except DatabaseError as error:
        # What the database itself says has failed was taken back; of what was cut off nobody knows.
        taken_back = getattr(error.__cause__, "sqlstate", None) is not None and connection.is_usable()
        for one in batch:
            one.alone, one.error = taken_back, error
        return
    for one, row in zip(batch, rows, strict=True):
        one.answered(row)


def _together(batch: Sequence[_Write]) -> list[tuple[Any, ...] | None]:
    """What each answers, once all are on disk: sent at once, and one transaction, as no end of it is sent between."""
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        prepared.cursor().execute(WAIT_BRIEFLY)
        cursors = [prepared.cursor() for _ in batch]
        for cursor, one in zip(cursors, batch, strict=True):
            cursor.execute(one.sql, prepared.plain(one.values))
    return [cursor.fetchone() for cursor in cursors]


_batches = Batches()
row = _batches.row
