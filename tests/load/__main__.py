"""What a claim of docs/scaling.md rests on, measured on an installation of its own that is thrown away.

Processor time is told rather than the clock's wherever that answers the question, so that a machine with other work
gives nearly the same figures.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

from tests.load import world

WHOLE = {
    "events": "millions of events in one table, beside a fiftieth of them, and the same in 16 and 64 partitions",
    "resting": "100,000 sessions at rest, beside an empty installation",
    "cold": "logs of sessions archived long ago: in the table, and packed into files",
    "openings": "new sandboxes a second, one after another and side by side",
    "streams": "1,000 open event streams on one web process",
}
SERVERS = {
    "appends": "what the log takes in a second over 2, 8 and 32 connections",
    "fairness": "5,000 waiting sessions in 50 workspaces, admitted until none waits",
    "pooler": "a long session through PgBouncer in session mode, beside one without",
    "wakeups": "RabbitMQ beside Valkey as the broker",
}
LOADS = WHOLE | SERVERS


def main() -> int:
    options = _options()
    if options.load in SERVERS:
        with world.servers():
            print(_load(options.load).run(options))
    else:
        with world.whole() as installation:
            print(_load(options.load).run(installation, options))
    return 0


def _load(name: str) -> Any:
    """The module of a load; only now, because it imports models."""
    return importlib.import_module(f"tests.load.{name}")


def _options() -> argparse.Namespace:
    told = "\n".join(f"  {name:<10} {what}" for name, what in LOADS.items())
    parser = argparse.ArgumentParser(
        prog="make load", description=f"{__doc__}\n{told}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("load", choices=LOADS, help="what to measure")
    parser.add_argument("--sessions", type=int, default=100_000, help="how many sessions are seeded (100000)")
    parser.add_argument("--events", type=int, default=2_000_000, help="how many events they have together (2000000)")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long sessions at rest are watched (30)")
    parser.add_argument("--seed", type=int, default=1, help="of what happens by chance (1)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
