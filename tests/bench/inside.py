"""Runs inside an installation's own settings: appends at a given moment, fills its database.

``python -m tests.bench.inside append SESSION COUNT GAP_MS`` prints the monotonic nanosecond at which
each append had been committed; ``… seed WORKSPACE_OF SESSIONS EVENTS`` prints the id of a long session.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import django

if TYPE_CHECKING:
    from django.db.models import Model

    from sessions.models import Thread

M = TypeVar("M", bound="Model")
BATCH = 5000


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
        row = _copy(model, id=ids.session_id(), title=f"Seeded {number}", created_at=moment, updated_at=moment)
        rows.append(row)
        threads.append(_copy(thread, id=ids.thread_id(), session=row, created_at=moment, updated_at=moment))
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
            _copy(
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


def _copy(row: M, **changes: Any) -> M:
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    for name, value in changes.items():
        column: Any = row._meta.get_field(name)
        values[column.attname] = getattr(value, "pk", value)
    return type(row)(**values)


def main(verb: str, *arguments: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    if verb == "append":
        append(arguments[0], int(arguments[1]), float(arguments[2]) / 1000)
    else:
        seed(arguments[0], int(arguments[1]), int(arguments[2]))


if __name__ == "__main__":
    main(*sys.argv[1:])
