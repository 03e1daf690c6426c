"""Millions of events in one table, beside a fiftieth of them and beside the same in 16 and 64 partitions.

The product's own functions are measured, on a table that stands in the place of the log's. Events of a partitioned
table are unique by id and session: PostgreSQL has no index over all partitions.
"""

from __future__ import annotations

import random
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection

from contract.acting import Acting
from contract.pages import paginate
from contract.roles import Role
from sessions import events as ev
from sessions import listing, log, search
from sessions.events import OPS_PREFIX, Draft
from sessions.harness.lease import INTERRUPTS
from sessions.models import Event
from tests.load.cost import Cost, cost, once
from tests.load.filling import fill, pattern, seed_sessions, session_id, thread_id
from tests.load.tables import table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from tests.live import Installation
    from tests.load.filling import Pattern

TABLE = "agent_sessions_event"
APPEND = "append of 4 events"  # not to a partitioned table: PostgreSQL tells no xmin of what goes into its parts
SMALL = 50  # the small table holds one in so many sessions
PAGE = 100
DRAFTS = [Draft(ev.AGENT_THINKING)] * 4
RUNNING = 100  # sessions about which a worker with so many turns asks once a second
REMOVED = 100  # one log in so many is removed, then the table is vacuumed


class Variant(NamedTuple):
    """A table of events: of how many of the seeded sessions, in how many partitions."""

    name: str
    partitions: int
    sessions: int


class Measured(NamedTuple):
    """Of one variant: what each question costs, and what an event takes on the disk."""

    costs: dict[str, Cost]
    sizes: tuple[float, float]  # bytes of table and of indexes
    vacuum: float  # seconds of a processor for the largest piece


def run(installation: Installation, options: argparse.Namespace) -> str:
    """The figures of each variant, one after the other."""
    like = pattern(installation)
    each = options.events // options.sessions
    _say(f"seeding {options.sessions:,} sessions")
    seed_sessions(like, options.sessions)
    some = options.sessions // SMALL
    variants = [
        Variant("small", 0, some),
        Variant("one table", 0, options.sessions),
        Variant("16 parts", 16, options.sessions),
        Variant("64 parts", 64, options.sessions),
    ]
    measured = {}
    for variant in variants:
        _say(f"filling: {variant.name}, {variant.sessions * each:,} events")
        with _in_place(variant, like, each):
            _say("measuring")
            measured[variant.name] = _measure(variant, like)
    return _table(measured, options, each)


@contextmanager
def _in_place(variant: Variant, like: Pattern, each: int) -> Iterator[None]:
    """A filled table under the name of the log's, which comes back afterwards."""
    made = f"{TABLE}_{variant.partitions}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", [TABLE])
        indexes = [row[0] for row in cursor.fetchall()]
        split = " PARTITION BY HASH (session_id)" if variant.partitions else ""
        cursor.execute(f"CREATE TABLE {made} (LIKE {TABLE} INCLUDING DEFAULTS INCLUDING CONSTRAINTS){split}")
        for number in range(variant.partitions):
            of = f"WITH (MODULUS {variant.partitions}, REMAINDER {number})"
            cursor.execute(f"CREATE TABLE {made}_{number} PARTITION OF {made} FOR VALUES {of}")
        fill(made, like, range(1, variant.sessions + 1), each)
        for number, definition in enumerate(indexes):
            cursor.execute(_index(definition, made, number, variant.partitions > 0))
        cursor.execute(f"VACUUM ANALYZE {made}")
        for kind, prefix in (("session", "sesn"), ("thread", "sthr")):
            cursor.execute(f"UPDATE agent_sessions_{kind} SET last_seq = {each} WHERE id LIKE '{prefix}_Seed%'")
        cursor.execute("VACUUM ANALYZE agent_sessions_session, agent_sessions_thread")
        cursor.execute(f"ALTER TABLE {TABLE} RENAME TO {TABLE}_own; ALTER TABLE {made} RENAME TO {TABLE}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE {TABLE}; ALTER TABLE {TABLE}_own RENAME TO {TABLE}")


def _index(definition: str, made: str, number: int, partitioned: bool) -> str:
    """An index of the log's table as one of the other's, with the session in a key that has to be unique."""
    unique, columns = re.fullmatch(r"CREATE( UNIQUE)? INDEX \S+ ON (?:ONLY )?\S+ (USING .*)", definition).groups("")  # type: ignore[union-attr]
    if partitioned and unique and columns == "USING btree (id)":
        columns = "USING btree (id, session_id)"
    return f"CREATE{unique} INDEX {made}_index{number} ON {made} {columns}"


def _measure(variant: Variant, like: Pattern) -> Measured:
    acting = Acting(like.workspace_id, Role.ADMIN, "load")
    numbers = [random.Random(1).randint(1, variant.sessions) for _ in range(1000)]
    known = list(Event.objects.filter(session_id__in=map(session_id, numbers), seq=5).values_list("pk", flat=True))
    some = [session_id(number) for number in numbers[:RUNNING]]
    questions: dict[str, tuple[Callable[[int], object], int]] = {
        APPEND: (lambda at: _append(numbers[at]), 300),
        "the log of a session": (lambda at: log.read(session_id(numbers[at])), 300),
        f"{PAGE} events by the API": (lambda at: _page(session_id(numbers[at])), 300),
        "one event by its id": (lambda at: Event.objects.get(pk=known[at % len(known)]), 300),
        f"interrupts of {RUNNING} turns": (lambda _: _interrupts(some), 50),
        "page of sessions, last steps": (lambda _: listing.page({}, None, ZoneInfo("UTC"), acting), 20),
        "search, one session answers": (lambda at: search.search(f"needle{numbers[at]}", 50, acting), 50),
        "search, all sessions answer": (lambda _: search.search("step", 50, acting), 5),
        "snapshots that forks need": (lambda _: _snapshots(), 5),
    }
    if variant.partitions:
        del questions[APPEND]
    costs = {name: cost(*question) for name, question in questions.items()}
    sizes = _sizes()
    gone = [session_id(number) for number in range(1, variant.sessions, REMOVED)]
    seconds = once(lambda: Event.objects.filter(session_id__in=gone)._raw_delete(Event.objects.db))
    costs["removal of a log"] = Cost(seconds * 1e6 / len(gone), 0)
    largest = f"{TABLE}_{variant.partitions}_0" if variant.partitions else TABLE
    return Measured(costs, sizes, once(lambda: _vacuum(largest)))


def _append(number: int) -> None:
    log.append(session_id(number), thread_id(number), DRAFTS)


def _page(of: str) -> None:
    rows = Event.objects.filter(session=of, on_session=True).exclude(type__startswith=OPS_PREFIX).defer("private")
    paginate(rows, kind=f"events:{of}", fields=("processed_at", "seq"), limit=PAGE, page=None, order="asc")


def _interrupts(sessions: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(INTERRUPTS, {"sessions": sessions, "type": ev.USER_INTERRUPT})


def _snapshots() -> None:
    list(Event.objects.filter(type=ev.OPS_SNAPSHOT).values_list("payload__digest", flat=True))


def _vacuum(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM (PARALLEL 0) {name}")


def _sizes() -> tuple[float, float]:
    """Bytes an event, of the table and of its indexes; a partitioned one has none itself, its parts do."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_table_size(relid)), sum(pg_indexes_size(relid)), (SELECT count(*) FROM agent_sessions_event)"
            " FROM (SELECT %s::regclass AS relid UNION ALL"
            "  SELECT inhrelid FROM pg_inherits WHERE inhparent = %s::regclass) AS parts",
            [TABLE, TABLE],
        )
        heap, indexes, count = cursor.fetchone()
    return float(heap) / count, float(indexes) / count


def _table(measured: dict[str, Measured], options: argparse.Namespace, each: int) -> str:
    rows = {
        name: [f"{one.costs[name].processor:,.0f}" if name in one.costs else "-" for one in measured.values()]
        for name in next(iter(measured.values())).costs
    }
    rows["bytes of an event in the table"] = [f"{one.sizes[0]:,.0f}" for one in measured.values()]
    rows["  in its indexes"] = [f"{one.sizes[1]:,.0f}" for one in measured.values()]
    rows["vacuum, largest piece, ms"] = [f"{one.vacuum * 1000:,.0f}" for one in measured.values()]
    title = f"{options.sessions * each:,} events of {options.sessions:,} sessions"
    note = "Microseconds of the database's processor a call, on average."
    small = f"small: the events of {options.sessions // SMALL:,} of the sessions. {note}"
    return table(title, list(measured), rows, [small])


def _say(line: str) -> None:
    print(f"{line} …", file=sys.stderr, flush=True)
