"""A session's or thread's row as the values that the projections reckon with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessions.projections.columns import Clock, SessionColumns, Spent, ThreadColumns, Usage

if TYPE_CHECKING:
    from sessions.models import Session, Thread


def clock(row: Session | Thread) -> Clock:
    return Clock(row.status, row.stop_reason, row.active_seconds, row.running_since, row.ended_at)


def spent(row: Session | Thread) -> Spent:
    return Spent(Usage.load(row.usage), row.cost, row.cost_known)


def session_columns(row: Session) -> SessionColumns:
    return SessionColumns(
        clock(row), spent(row), row.snapshot, tuple(row.outcomes), row.budget, row.hour_price, row.paused
    )


def thread_columns(row: Thread) -> ThreadColumns:
    return ThreadColumns(clock(row), spent(row), row.startup_seconds, row.wake_at, tuple(row.pending))
