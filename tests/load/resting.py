"""What sessions at rest cost: the processor time of every process, with none of them and with 100,000."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from agents.models import Workspace
from config.metrics import Installation as Told
from contract.acting import Acting
from contract.roles import Role
from sessions import files, listing, prepared, search
from sessions.harness import admission, lease
from sessions.harness.limits import longest_pause
from sessions.models import Thread
from sessions.sweeper import BATCH, DUE
from tests.bench.burden import Burden
from tests.load.cost import cost
from tests.load.filling import pattern, seed_sessions
from tests.load.tables import table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from tests.live import Installation
    from tests.load.filling import Pattern

UTC = ZoneInfo("UTC")
ROWS = "rows read a second"
SETTLE_SECONDS = 10.0  # the sandbox of the session that is copied is put away, the new rows' statistics are taken


def run(installation: Installation, options: argparse.Namespace) -> str:
    """Milliseconds of a processor in a second, by role, before and after."""
    like = pattern(installation)
    _say("an empty installation")
    before, asked_before = _watched(installation, options.seconds), _asked(like)
    _say(f"seeding {options.sessions:,} sessions")
    seed_sessions(like, options.sessions)
    after, asked = _watched(installation, options.seconds), _asked(like)
    read, read_before = after.pop(ROWS), before.pop(ROWS)
    rows = {role: _row(before[role], after[role]) for role in sorted(before, key=lambda role: -before[role])}
    rows["together"] = _row(sum(before.values()), sum(after.values()))
    rows[ROWS] = _row(read_before, read)
    for name, value in asked.items():
        rows[name] = _row(asked_before[name], value)
    columns = ["empty", f"{options.sessions:,} sessions", "ratio"]
    notes = [
        f"Of processes: milliseconds of a processor a second, over {options.seconds:.0f} s each.",
        "Of questions: milliseconds of the database's processor each.",
    ]
    return table(f"{options.sessions:,} sessions at rest", columns, rows, notes)


def _watched(installation: Installation, seconds: float) -> dict[str, float]:
    time.sleep(SETTLE_SECONDS)
    burden, rows = Burden(installation), _rows_read()
    time.sleep(seconds)
    found = {role: spent * 1000 / seconds for role, spent in burden.taken().roles.items()}
    return found | {ROWS: (_rows_read() - rows) / seconds}


def _rows_read() -> int:
    """Rows of the product's tables that were read so far, whoever asked, by scans and by indexes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables")
        return int(cursor.fetchone()[0])


def _asked(like: Pattern) -> dict[str, float]:
    """What is asked again and again while nothing happens, and what a claim asks, in milliseconds."""
    thread = Thread.objects.get(session_id=like.session_id, parent=None).pk
    Workspace.objects.filter(pk=like.workspace_id).update(limits={"concurrent_sessions": 5})
    digests = [f"{number:064x}" for number in range(files.LOOKED_UP)]
    questions: dict[str, Callable[[int], object]] = {
        "sweeper, 5 a second: leases of the dead": lambda _: lease.free_orphans(),
        "sweeper, 5 a second: who is due": lambda _: _due(),
        "/metrics": lambda _: list(Told().collect()),
        "admission where places are limited": lambda _: _admitted(thread),
        f"collector: who names {files.LOOKED_UP} blobs": lambda _: files.named(digests, timezone.now()),
    }
    acting = Acting(like.workspace_id, Role.ADMIN, "load")
    titles = [f"Seeded {number}" for number in range(1_000, 90_000, 2_000)]
    questions |= {
        "search for one title": lambda at: search.search(titles[at], 50, acting),
        "the list, searched for one title": lambda at: listing.page({"q": titles[at]}, None, UTC, acting),
        "the list, first page": lambda _: listing.page({}, None, UTC, acting),
    }
    return {name: cost(question, 30).processor / 1000 for name, question in questions.items()}


def _due() -> None:
    with connection.cursor() as cursor:
        cursor.execute(DUE, [longest_pause(settings.HOLDFAST_RETRY_CEILING_SECONDS), BATCH])


def _admitted(thread_id: str) -> None:
    with transaction.atomic(), prepared.cursor() as cursor:
        admission.admitted(cursor, thread_id)


def _row(before: float, after: float) -> list[str]:
    return [f"{before:.2f}", f"{after:.2f}", f"{after / before:.2f}" if before else "-"]


def _say(line: str) -> None:
    print(f"{line} …", file=sys.stderr, flush=True)
