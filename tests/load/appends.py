"""What the log takes in a second: several processes append through its one door at once, as workers do."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sessions.models import Event
from tests.load.cost import Server
from tests.load.tables import table
from tests.sessions.rows import make_session

if TYPE_CHECKING:
    import argparse

ROOT = Path(__file__).resolve().parent.parent.parent
PROCESSES = 2
CONNECTIONS = (2, 8, 32)
SECONDS = 10.0
PATIENCE_SECONDS = 60.0


def run(options: argparse.Namespace) -> str:
    """Events a second by the clock, and what they took of the processor on both sides."""
    del options
    rows = {f"{count} connections": _row(count) for count in CONNECTIONS}
    columns = ["events/s", "transactions/s", "median ms", "database, µs an event", "appenders, µs", "cores busy"]
    note = (
        f"Transactions of 4 events of 500 characters, {SECONDS:.0f} s each, {PROCESSES} processes; on disk before they"
        " are answered. µs: of a processor."
    )
    return table("Appends through the log's door", columns, rows, [note])


def _row(connections: int) -> list[str]:
    pairs = [f"{session.pk}:{thread.pk}" for session, thread in (make_session() for _ in range(connections))]
    appenders = [_started(pairs[number::PROCESSES]) for number in range(PROCESSES)]
    for appender in appenders:
        assert appender.stdout is not None and appender.stdout.readline() == "ready\n", "an appender did not start"
    server, before = Server(), Event.objects.count()
    begun = time.perf_counter()
    for appender in appenders:
        assert appender.stdin is not None
        appender.stdin.write("go\n")
        appender.stdin.flush()
    told = [json.loads(appender.communicate(timeout=PATIENCE_SECONDS)[0]) for appender in appenders]
    lasted = time.perf_counter() - begun
    database, ours = server.spent(), sum(one["spent"] for one in told)
    taken, events = [value for one in told for value in one["taken"]], Event.objects.count() - before
    found = [f"{events / lasted:,.0f}", f"{len(taken) / lasted:,.0f}", f"{statistics.median(taken) * 1000:.1f}"]
    found += [f"{seconds * 1e6 / events:,.0f}" for seconds in (database, ours)]
    return [*found, f"{(database + ours) / lasted:.1f}"]


def _started(pairs: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.load.appender", str(SECONDS), *pairs]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
