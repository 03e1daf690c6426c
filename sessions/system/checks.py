"""Is each part there that a session needs? Read by ``/readyz`` and by the pages. Quick: every wait has an end."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import DatabaseError, connection

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_SECONDS = 2.0


def database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return f"no answer from the database ({type(error).__name__})"
    return "ok"


def nudges() -> str:
    import redis

    try:
        client = redis.Redis.from_url(
            settings.HOLDFAST_REDIS_URL, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
        )
        with client:
            client.ping()
    except (redis.RedisError, OSError) as error:
        return f"no answer from Redis ({type(error).__name__})"
    return "ok"


def broker() -> str:
    from celery import current_app
    from kombu.exceptions import OperationalError

    if settings.HOLDFAST.tasks_url == settings.HOLDFAST.redis_url:
        return nudges()
    try:
        with current_app.connection_for_read(connect_timeout=TIMEOUT_SECONDS) as broker_connection:
            broker_connection.ensure_connection(max_retries=1, timeout=TIMEOUT_SECONDS)
    except (OperationalError, OSError) as error:
        return f"no answer from the task broker ({type(error).__name__})"
    return "ok"


def sandbox_host() -> str:
    return _listens(settings.HOLDFAST_SANDBOX_SOCKET, "sandbox host")


def egress() -> str:
    """Not asked where the operator turned the network of sandboxes off."""
    path = settings.HOLDFAST_EGRESS_SOCKET
    return "ok" if path is None else _listens(path, "egress proxy")


def _listens(path: Path, who: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(TIMEOUT_SECONDS)
        try:
            probe.connect(str(path))
        except OSError as error:
            return f"no {who} behind its socket ({error.strerror or error})"  # a time-out has no number and no words
    return "ok"


def processes() -> dict[str, str]:
    """Workers and sweeper, by what they hold in the database."""
    from sessions.harness import lease

    try:
        workers, sweeper = lease.processes_seen()
    except DatabaseError as error:
        return dict.fromkeys(("workers", "sweeper"), f"not known ({type(error).__name__})")
    return {
        "workers": "ok" if workers else "no worker is running",
        "sweeper": "ok" if sweeper else "no sweeper is running",
    }


def states() -> dict[str, str]:
    """Each part of the installation: "ok", or what is wrong."""
    return {
        "database": database(),
        "nudges": nudges(),
        "broker": broker(),
        "sandbox_host": sandbox_host(),
        "egress": egress(),
        **processes(),
    }
