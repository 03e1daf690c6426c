"""Bringing what sessions keep, entries of the log and workspaces, under the ring's first key: part of ``reseal``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models.fields.json import KeyTextTransform

from credentials import at_rest
from credentials.crypto import CannotOpen
from credentials.resealing import BATCH, Tally, wanted
from sessions import events as ev
from sessions import log, snapshots
from sessions.models import Event, Session

if TYPE_CHECKING:
    from collections.abc import Iterator


def stores() -> Iterator[Tally]:
    yield _entries()
    yield _snapshots()


def _entries() -> Tally:
    """Entries never change but in form, so that nothing has to be locked; new ones are sealed with the first key."""
    tally, last = Tally("agent_sessions.Event"), ""
    marks = [KeyTextTransform(at_rest.MARK, column) for column in ("payload", "private")]
    while rows := list(Event.objects.filter(pk__gt=last).order_by("pk").values_list("pk", *marks)[:BATCH]):
        last = rows[-1][0]
        keys = {pk: [at_rest.key_of({at_rest.MARK: mark}) if mark else "" for mark in found] for pk, *found in rows}
        stale = [pk for pk, of in keys.items() if not all(map(wanted, of))]
        tally.current += len(rows) - len(stale)
        for entry in _loaded(stale, tally):
            if [at_rest.key_of(form) for form in entry.stored()] == keys[entry.pk]:  # nothing in it is ever sealed
                tally.current += 1
            else:
                log.rewrite(entry)
                tally.resealed += 1
    return tally


def _loaded(ids: list[str], tally: Tally) -> Iterator[Event]:
    rows = Event.objects.select_related("session").only("type", "payload", "private", "session__workspace_id")
    try:
        yield from rows.in_bulk(ids).values()
    except CannotOpen:
        for pk in ids:
            try:
                yield from rows.filter(pk=pk)
            except CannotOpen as error:
                tally.lost.append(f"{tally.name} {pk}: {error}")


def _snapshots() -> Tally:
    tally = Tally("workspaces between turns")
    earlier = Event.objects.filter(type=ev.OPS_SNAPSHOT).values_list("payload__digest", flat=True)
    names = {*earlier, *Session.objects.exclude(snapshot="").values_list("snapshot", flat=True)}
    for name in sorted(names):
        try:
            changed = snapshots.reseal(name)
        except FileNotFoundError:  # collected, or lost: `manage.py verify` tells
            continue
        except (CannotOpen, OSError) as error:
            tally.lost.append(f"workspace {name}: {error}")
            continue
        tally.resealed += changed
        tally.current += not changed
    return tally
