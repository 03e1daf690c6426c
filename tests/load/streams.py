"""A thousand open event streams on one web process: its memory, and what an event to all of them takes."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
from django.db import connection

from contract.roles import Role
from credentials.actions import issue_api_key
from sessions import events as ev
from sessions import log
from sessions.events import Draft
from tests.bench.burden import Burden
from tests.bench.readers import OPEN_SECONDS, Reader
from tests.load.filling import pattern, seed_sessions, session_id, thread_id
from tests.load.tables import table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from tests.live import Installation

STREAMS = (100, 1_000)
SESSIONS = 100
PER_KEY = 250
AT_ONCE = 50  # connections that are opened together
ROUNDS = 5  # events of each session


def run(installation: Installation, options: argparse.Namespace) -> str:
    """Streams of a hundred sessions; each session's events reach every one of its readers."""
    del options
    like = pattern(installation)
    seed_sessions(like, SESSIONS)
    keys = [
        issue_api_key(workspace=like.workspace_id, name=f"Load {number}", role=Role.VIEWER, created_by=None)[1]
        for number in range(max(STREAMS) // PER_KEY)
    ]
    rows = {f"{count:,} streams": asyncio.run(_row(installation, keys, count)) for count in STREAMS}
    columns = ["MB of the web process", "KB a stream", "µs of its processor a delivery", "ms to the last reader"]
    note = f"Of {SESSIONS} sessions, {ROUNDS} events of each; memory is what the process has for itself alone."
    return table("Open streams on one web process", columns, rows, [note])


async def _row(installation: Installation, keys: Sequence[str], count: int) -> list[str]:
    web = psutil.Process(installation.pids("web")[0])
    before = web.memory_full_info().uss
    numbers = range(1, SESSIONS + 1)
    opened = await _open(installation, keys, [numbers[at % SESSIONS] for at in range(count)])
    memory = web.memory_full_info().uss
    burden, slowest = Burden(installation), []
    for done in range(1, ROUNDS + 1):
        begun = time.perf_counter()
        await asyncio.to_thread(_append_to_all)
        deadline = time.monotonic() + OPEN_SECONDS
        while any(len(reader.arrivals) < done for _, reader in opened):
            assert time.monotonic() < deadline, "events went missing"
            await asyncio.sleep(0.01)
        slowest.append((time.perf_counter() - begun) * 1000)
    each = burden.taken().roles["web"] * 1e6 / (ROUNDS * count)
    for transport, _ in opened:
        transport.close()
    await asyncio.sleep(2)  # they are let go of before the next row counts
    return [f"{memory / 1e6:.0f}", f"{(memory - before) / 1e3 / count:.0f}", f"{each:.0f}", f"{max(slowest):,.0f}"]


async def _open(
    installation: Installation, keys: Sequence[str], numbers: Sequence[int]
) -> list[tuple[asyncio.Transport, Reader]]:
    """A stream for each session's number, every key having as many as the next."""
    host, port = urlsplit(installation.url).hostname or "", urlsplit(installation.url).port or 80
    loop, opened = asyncio.get_running_loop(), []
    for first in range(0, len(numbers), AT_ONCE):
        some = []
        for at, number in enumerate(numbers[first : first + AT_ONCE], first):
            request = (
                f"GET /v1/sessions/{session_id(number)}/events/stream HTTP/1.1\r\nHost: {host}:{port}\r\n"
                f"x-api-key: {keys[at % len(keys)]}\r\n\r\n"
            ).encode()
            some.append(await loop.create_connection(partial(Reader, request), host, port))
        await asyncio.wait_for(asyncio.gather(*(reader.opened for _, reader in some)), OPEN_SECONDS)
        opened += some
    return opened


def _append_to_all() -> None:
    """One event to each session; the connection of this thread goes back."""
    try:
        for number in range(1, SESSIONS + 1):
            log.append(session_id(number), thread_id(number), [Draft(ev.AGENT_THINKING)])
    finally:
        connection.close()
