"""What sessions that were archived long ago take in the database, and as files: their size, and the way there and back.

By the product's own ``packing`` and import, for logs of different lengths.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from django.db import connection
from django.utils import timezone

from agents.models import Environment
from contract.acting import Acting
from contract.roles import Role
from sessions import exports, packing
from sessions.models import Event, Session
from tests.load import filling
from tests.load.tables import table

if TYPE_CHECKING:
    import argparse

    from tests.live import Installation

LENGTHS = (20, 500, 5_000)
EVENTS = 10_000  # of each length
TABLE = "agent_sessions_event"


@dataclass
class Found:
    """Of the logs of one length, bytes and milliseconds of this process's processor for a thousand events."""

    rows: float
    file: float
    packing: float
    importing: float


def run(installation: Installation, options: argparse.Namespace) -> str:
    """Seed, pack, and take the first file in again."""
    like = filling.pattern(installation)
    counts = [EVENTS // length for length in LENGTHS]
    filling.seed_sessions(like, sum(counts))
    found, first = [], 1
    for length, count in zip(LENGTHS, counts, strict=True):
        found.append(_measured(like, range(first, first + count), length))
        first += count
    rows = {
        "an event in the table, indexes included, bytes": [f"{one.rows:,.0f}" for one in found],
        "an event in a packed file, bytes": [f"{one.file:,.0f}" for one in found],
        "packing and deleting 1,000 events, ms": [f"{one.packing:,.0f}" for one in found],
        "importing 1,000 events again, ms": [f"{one.importing:,.0f}" for one in found],
    }
    columns = [f"{length:,} events" for length in LENGTHS]
    notes = [
        "ms: of the processor of the process that does it; the database's comes on top.",
        "The logs repeat one short conversation, so the longer ones are packed smaller than real ones would be.",
    ]
    return table(f"{EVENTS:,} events of archived sessions, by the length of a log", columns, rows, notes)


def _measured(like: filling.Pattern, numbers: range, length: int) -> Found:
    before = _size()
    filling.fill(TABLE, like, numbers, length)
    rows = (_size() - before) / EVENTS
    ids = [filling.session_id(number) for number in numbers]
    long_ago = timezone.now() - timedelta(days=100)
    Session.objects.filter(pk__in=ids).update(archived_at=long_ago, status="terminated", last_seq=length)
    with tempfile.TemporaryDirectory(prefix="hf-cold-") as name:
        directory, begun = Path(name), time.process_time()
        packed = [packing.pack(session, directory) for session in packing.cold(90, like.workspace_id)]
        spent = time.process_time() - begun
        assert len(packed) == len(numbers), "a session stayed"
        assert not Event.objects.filter(session_id__in=ids).exists(), "events stayed"
        size = sum(path.stat().st_size for path in packed)
        return Found(rows, size / EVENTS, _ms(spent, EVENTS), _ms(_taken_in(like, packed[0]), length))


def _taken_in(like: filling.Pattern, path: Path) -> float:
    """Seconds to have a session of a packed file again."""
    session = Session.objects.get(pk=like.session_id)
    environment = Environment.objects.filter(workspace_id=like.workspace_id, archived_at=None)[0]
    acting = Acting(like.workspace_id, Role.ADMIN, "load")
    begun = time.process_time()
    with path.open("rb") as file:
        exports.take_in(file, session.agent_id, environment.pk, acting)
    spent = time.process_time() - begun
    Session.objects.exclude(pk=like.session_id).filter(archived_at__gte=timezone.now() - timedelta(days=1)).delete()
    return spent


def _size() -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM FULL {TABLE}")
        cursor.execute("SELECT pg_total_relation_size(%s)", [TABLE])
        return int(cursor.fetchone()[0])


def _ms(seconds: float, events: int) -> float:
    return seconds * 1e6 / events
