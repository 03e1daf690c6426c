"""How many new sandboxes a machine opens in a second, one after another and side by side."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from django.conf import settings

from agents.sandboxes import registry
from agents.sandboxes.base import SandboxSpec
from contract import ids
from tests.bench.burden import Burden
from tests.load.tables import table

if TYPE_CHECKING:
    import argparse

    from tests.live import Installation

COUNT = 24
SIDE_BY_SIDE = (1, 4, 12)


def run(installation: Installation, options: argparse.Namespace) -> str:
    """A sandbox is open here once its first command has run in it."""
    del options
    _opened_and_left()
    rows = {f"{width} at a time": _row(installation, width) for width in SIDE_BY_SIDE}
    columns = ["a second", "median ms", "ms of a processor each"]
    note = f"{COUNT} new sandboxes each time, from nothing to the end of the first command, their removal included."
    return table("Openings of sandboxes", columns, rows, [note])


def _row(installation: Installation, width: int) -> list[str]:
    burden, begun = Burden(installation), time.perf_counter()
    with ThreadPoolExecutor(width) as pool:
        taken = list(pool.map(lambda _: _opened_and_left(), range(COUNT)))
    lasted = time.perf_counter() - begun
    spent = burden.taken().roles["sandbox"] * 1000 / COUNT
    return [f"{COUNT / lasted:.1f}", f"{statistics.median(taken) * 1000:.0f}", f"{spent:.0f}"]


def _opened_and_left() -> float:
    """Seconds until the first command has ended."""
    hands = registry.client(settings.HOLDFAST_SANDBOX, settings.HOLDFAST_SANDBOX_SOCKET)
    sandbox, begun = ids.session_id(), time.perf_counter()
    hands.open(SandboxSpec(sandbox, first=True))
    result = hands.call(sandbox, ids.event_id(), "bash", {"command": "true"})
    taken = time.perf_counter() - begun
    assert not result.is_error, result.content
    hands.close(sandbox, discard=True)
    return taken
