"""Connections from the pool, none of which the server has ended meanwhile."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any

from django.db.backends.postgresql import base

from config.endpoints import CUT_OFF_SECONDS, KEEPALIVES

if TYPE_CHECKING:
    import psycopg


# The server's side of the same: what a machine that was cut off had locked is free again when the server knows of it.
_SERVERS = {f"tcp_{name}": seconds for name, seconds in KEEPALIVES.items()} | {
    "tcp_user_timeout": CUT_OFF_SECONDS * 1000
}
NOTICE_SOON = "SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _SERVERS.items())


class DatabaseWrapper(base.DatabaseWrapper):
    """Looks at each connection when it is taken.

    A server that was restarted took all connections with it. Those a pool keeps don't know yet, and every one would
    fail whoever gets it. Asking the server (`CONN_HEALTH_CHECKS`) would cost a round trip each time, and the pool waits
    a second, two, four… after each lost one it finds so. A look costs 2 µs, and all that were lost go at once.
    """

    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        while True:
            found: psycopg.Connection[Any] = super().get_new_connection(conn_params)
            if self.pool is None or is_silent(found):
                return found
            found.close()
            self.pool.putconn(found)  # which has another one made for it

    def _configure_connection(self, connection: psycopg.Connection[Any]) -> bool:
        """Set up a connection that the pool has just opened. Whether something is to be committed."""
        changed: bool = super()._configure_connection(connection)  # type: ignore[misc]  # its stubs don't know it
        if connection.info.host.startswith("/"):  # of a unix socket the system tells
            return changed
        connection.execute(NOTICE_SOON)
        return True


def is_silent(connection: psycopg.Connection[Any]) -> bool:
    """Whether nothing waits to be read from an idle connection.

    What would wait is its end, and the server's last message before. Notices and the like come with answers; nobody
    listens for notifications on a connection of the pool. Were something harmless there after all, a new connection
    costs little.
    """
    look = select.poll()
    look.register(connection.fileno(), select.POLLIN)
    return not look.poll(0)
