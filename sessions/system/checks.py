"""Is each part there that a session needs? Read by ``/readyz`` and by the pages.

All are looked at side by side, and one that has said nothing after ``TIMEOUT_SECONDS`` is told as that: a process that
is frozen takes connections, and answers none.
"""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError, connection

from agents.sandboxes.base import SandboxError, SandboxUnavailable
from agents.sandboxes.client import HostClient
from credentials.egress import client as egress_client

if TYPE_CHECKING:
    from collections.abc import Callable
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
    path = settings.HOLDFAST_SANDBOX_SOCKET
    host = HostClient(path, answer_seconds=TIMEOUT_SECONDS)
    try:
        if (state := _listens(path, "sandbox host")) == "ok":
            host.ping()
    except SandboxUnavailable:
        return "the sandbox host doesn't answer"
    except SandboxError:
        return "ok"  # one of another version, which doesn't know the question
    finally:
        host.disconnect()
    return state


def egress() -> str:
    """Not asked where the operator turned the network of sandboxes off."""
    path = settings.HOLDFAST_EGRESS_SOCKET
    if path is None:
        return "ok"
    if (state := _listens(path, "egress proxy")) == "ok":
        try:
            egress_client.probe(path)
        except egress_client.EgressUnavailable:
            return "the egress proxy doesn't answer"
    return state


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
    until = time.monotonic() + TIMEOUT_SECONDS
    looks = {part: _look(part, check) for part, check in PARTS.items()}
    of_processes = _look("processes", processes)
    silent = f"no answer within {TIMEOUT_SECONDS:.0f} s"
    found = {part: _said(look, until, silent) for part, look in looks.items()}
    unknown = dict.fromkeys(("workers", "sweeper"), f"not known ({silent})")
    return {**found, **_said(of_processes, until, unknown)}


PARTS: dict[str, Callable[[], str]] = {
    "database": database,
    "nudges": nudges,
    "broker": broker,
    "sandbox_host": sandbox_host,
    "egress": egress,
}
_lock = threading.Lock()
_under_way: dict[str, Future[Any]] = {}  # whoever asks meanwhile waits for the same: what hangs, hangs once


def _look(part: str, check: Callable[[], Any]) -> Future[Any]:
    """A look in a thread of its own, or the one that is under way."""
    with _lock:
        look = _under_way.get(part)
        if look is None or look.done():
            look = _under_way[part] = Future()
            threading.Thread(target=_carry_out, args=(check, look), name=f"look-{part}", daemon=True).start()
    return look


def _carry_out(check: Callable[[], Any], look: Future[Any]) -> None:
    try:
        try:
            found = check()
        finally:
            connection.close()
    except Exception as error:
        look.set_exception(error)
    else:
        look.set_result(found)


def _said(look: Future[Any], until: float, otherwise: Any) -> Any:
    try:
        return look.result(max(0.0, until - time.monotonic()))
    except NoAnswer:
        return otherwise
