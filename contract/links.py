"""The connections to the database that a process keeps, after the database went away and came back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.db import connection
from psycopg import errors
from psycopg_pool import PoolTimeout

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

ENDED = "57P"  # SQLSTATE of sessions that the server ended: a shutdown, a crash


def renew(error: BaseException) -> None:
    """Let go of all that the pool keeps if ``error`` (Django's, of the database) tells of a connection that was lost.

    A server that went away took all of them with it: without this every single one fails a request before it is known
    to be dead. Connections in use go when they come back.
    """
    cause = error.__cause__
    if not isinstance(cause, errors.OperationalError | errors.InterfaceError) or isinstance(cause, PoolTimeout):
        return
    if cause.sqlstate is None or cause.sqlstate.startswith(ENDED):
        pool: ConnectionPool | None = getattr(connection, "pool", None)
        if pool is not None:
            pool.drain()


def after_page(**_: Any) -> None:
    """``renew`` for the error that a page is failing with, as Django's ``got_request_exception`` tells of it."""
    error = sys.exc_info()[1]
    if error is not None:
        renew(error)
