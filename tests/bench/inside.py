"""Runs inside an installation's own settings: appends at a given moment, fills its database.

``python -m tests.bench.inside append SESSION COUNT GAP_MS`` prints the monotonic nanosecond at which
each append had been committed; ``… seed WORKSPACE_OF SESSIONS EVENTS`` prints the id of a long session;
``… sizes SESSION`` and ``… speeds`` print JSON.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import django

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import Model

    from sessions.models import Thread

M = TypeVar("M", bound="Model")
BATCH = 5000
SNAPSHOT_MEGABYTES = 64


def append(session_id: str, count: int, gap: float) -> None:
    from sessions import events, log, nudges
    from sessions.models import Thread

    thread_id = Thread.objects.values_list("id", flat=True).get(session_id=session_id, parent=None)
    committed: list[int] = []
    publish = nudges.publish_events

    def stamped(session_id: str, last_seq: int) -> None:
        committed.append(time.monotonic_ns())
        publish(session_id, last_seq)

    nudges.publish_events = stamped
    nudges.publish_events("sesn_nobody", 0)  # opens the connection
    committed.clear()
    for _ in range(count):
        log.append(session_id, thread_id, [events.Draft(events.AGENT_THINKING)])
        time.sleep(gap)
    for moment in committed:
        print(moment)


def seed(like: str, sessions: int, length: int) -> None:
    """Copies of a session, and one of them with a long log: turns of eight events."""
    from contract import ids
    from sessions.models import Session, Thread

    model = Session.objects.get(pk=like)
    thread = Thread.objects.get(session_id=like, parent=None)
    now = datetime.now(UTC)
    rows, threads = [], []
    for number in range(sessions):
        moment = now - timedelta(minutes=number + 1)
        row = copied(model, id=ids.session_id(), title=f"Seeded {number}", created_at=moment, updated_at=moment)
        rows.append(row)
        threads.append(copied(thread, id=ids.thread_id(), session=row, created_at=moment, updated_at=moment))
    Session.objects.bulk_create(rows, batch_size=BATCH)
    Thread.objects.bulk_create(threads, batch_size=BATCH)
    _fill(threads[0], like, length)
    print(rows[0].pk)


def _fill(thread: Thread, like: str, length: int) -> None:
    from contract import ids
    from sessions.models import Event, Session

    pattern = list(Event.objects.filter(session_id=like).order_by("seq"))
    now = datetime.now(UTC)
    renamed: dict[str, str] = {}
    batch = []
    for seq in range(1, length + 1):
        source = pattern[(seq - 1) % len(pattern)]
        renamed[source.id] = ids.event_id()
        payload = {
            key: renamed.get(value, value) if isinstance(value, str) else value for key, value in source.payload.items()
        }
        batch.append(
            copied(
                source,
                id=renamed[source.id],
                session=thread.session_id,
                thread=thread.pk,
                seq=seq,
                payload=payload,
                created_at=now,
                processed_at=now,
            )
        )
    Event.objects.bulk_create(batch, batch_size=BATCH)
    Session.objects.filter(pk=thread.session_id).update(last_seq=length)


def copied(row: M, **changes: Any) -> M:
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    for name, value in changes.items():
        column: Any = row._meta.get_field(name)
        values[column.attname] = getattr(value, "pk", value)
    return type(row)(**values)


def sizes(session_id: str) -> None:
    """How many events a session has, and how many bytes of the table one takes on average, without indexes."""
    from django.db import connection

    question = "SELECT count(*), avg(pg_column_size(event.*)) FROM agent_sessions_event AS event WHERE session_id = %s"
    with connection.cursor() as cursor:
        cursor.execute(question, [session_id])
        count, size = cursor.fetchone()
    print(json.dumps({"events": count, "bytes": float(size)}))


def speeds() -> None:
    """Microseconds to seal and open an event of 2,000 characters; megabytes a second of snapshots, each the best."""
    from credentials import at_rest, sealed_streams

    said = {"content": [{"type": "text", "text": "Forty characters are what a line holds. " * 50}]}
    both = _best(lambda: at_rest.opened(at_rest.shut(said, "sevt_bench"), "sevt_bench"), 500)
    pieces = [os.urandom(sealed_streams.PIECE)] * SNAPSHOT_MEGABYTES
    shut = b"".join(sealed_streams.seal(pieces))
    sealing = _best(lambda: sum(len(piece) for piece in sealed_streams.seal(pieces)))
    opening = _best(lambda: _read(sealed_streams.unsealed(io.BytesIO(shut))))
    reading = _best(lambda: _read(sealed_streams.unsealed(io.BytesIO(b"".join(pieces)))))
    rates = {
        name: SNAPSHOT_MEGABYTES / taken for name, taken in (("seal", sealing), ("open", opening), ("plain", reading))
    }
    print(json.dumps({"event": both * 1e6, **rates}))


def _read(stream: BinaryIO) -> int:
    """The length of a stream that is read as a snapshot on its way to the sandbox host."""
    return sum(len(piece) for piece in iter(lambda: stream.read(64 * 1024), b""))


def _best(work: Callable[[], Any], times: int = 1) -> float:
    """Seconds of one call: the best of five series."""
    taken = []
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(times):
            work()
        taken.append((time.perf_counter() - begun) / times)
    return min(taken)


def main(verb: str, *arguments: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    if verb == "append":
        append(arguments[0], int(arguments[1]), float(arguments[2]) / 1000)
    elif verb == "sizes":
        sizes(arguments[0])
    elif verb == "speeds":
        speeds()
    else:
        seed(arguments[0], int(arguments[1]), int(arguments[2]))


if __name__ == "__main__":
    main(*sys.argv[1:])
