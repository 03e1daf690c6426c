"""Thousands of sessions wait in many workspaces that may run only so many: who gets the places, and what asking costs.

Every claim is the product's own, from the question to the lease, and so is every end of a turn. Who runs comes to rest
at random; those whose turn the queue says it is are woken then, as a worker does it.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.utils import timezone

from agents.models import Workspace
from contract import ids
from sessions import events as ev
from sessions import log
from sessions.events import Draft
from sessions.harness import admission
from sessions.harness.lease import Keeper
from sessions.models import Session, Thread
from sessions.wake import CALLED_AT_ONCE
from tests.bench.inside import copied
from tests.load.cost import once
from tests.load.tables import table
from tests.sessions.rows import make_session

if TYPE_CHECKING:
    import argparse

    from sessions.harness.lease import Lease

WORKSPACES, WAITING = 50, 5_000
PLACES = 5  # of each workspace
PEOPLE = 10  # of each workspace: half of its sessions are the first one's
LEASE_SECONDS = 3600.0


@dataclass
class Queue:
    """A workspace in the simulation."""

    workspace_id: str
    waiting: dict[str, str]  # thread -> person
    running: dict[str, tuple[str, Lease]] = field(default_factory=dict)  # thread -> person and lease
    farthest: int = 0  # the most that one person had running above another who waited meanwhile
    empty: int = 0  # places that stayed free while somebody waited
    asking: list[float] = field(default_factory=list)  # seconds of the database's processor: whose turn is it
    claiming: list[float] = field(default_factory=list)  # … and: may this one, and the lease

    def fill(self, keeper: Keeper) -> None:
        """Wake those whose turn it is, in the order that the queue tells, and see what came of it."""
        turn: list[tuple[str, str]] = []
        self.asking.append(once(lambda: turn.extend(admission.waiting(self.workspace_id, CALLED_AT_ONCE))))
        for thread_id, _ in turn:
            leases: list[Lease | None] = []
            self.claiming.append(once(lambda: leases.append(keeper.claim(thread_id))))  # noqa: B023  called at once
            if leases[0] is None:
                break
            self.running[thread_id] = self.waiting.pop(thread_id), leases[0]
        self._look()

    def rest(self, keeper: Keeper, thread_id: str) -> None:
        """A turn ends."""
        _, lease = self.running.pop(thread_id)
        ended = Draft(ev.THREAD_IDLE, {"stop_reason": {"type": "end_turn"}})
        log.append(lease.session_id, thread_id, [ended], lease=lease)
        keeper.release(lease, clean=True)

    def _look(self) -> None:
        has = Counter(person for person, _ in self.running.values())
        if self.waiting:
            least = min(has[person] for person in self.waiting.values())
            self.farthest = max(self.farthest, max(has.values()) - least)
            self.empty += PLACES - len(self.running)


def run(options: argparse.Namespace) -> str:
    """Admit all of them; then one workspace in which all of them wait, for what its queue costs."""
    chance, keeper = random.Random(options.seed), Keeper(LEASE_SECONDS)
    queues = [_seeded(WAITING // WORKSPACES) for _ in range(WORKSPACES)]
    turns = _played(queues, keeper, chance)
    one = _seeded(WAITING)
    one.fill(keeper)
    rows = {
        "turns that ended": [f"{turns:,}"],
        "most that one person had above another who waited": [str(max(queue.farthest for queue in queues))],
        "places that stayed free while somebody waited": [str(sum(queue.empty for queue in queues))],
        f"whose turn is it, {WAITING // WORKSPACES} wait, µs": [_micro(queues, "asking")],
        "may this one run, and its lease, µs": [_micro(queues, "claiming")],
        f"whose turn is it, {WAITING:,} wait in one workspace, µs": [_micro([one], "asking")],
        "may this one run there, and its lease, µs": [_micro([one], "claiming")],
    }
    title = f"{WAITING:,} sessions wait in {WORKSPACES} workspaces of {PEOPLE} people and {PLACES} places each"
    return table(title, ["found"], rows, ["µs: of the database's processor a question, median."])


def _played(queues: list[Queue], keeper: Keeper, chance: random.Random) -> int:
    for queue in queues:
        queue.fill(keeper)
    turns = 0
    while busy := [queue for queue in queues if queue.running]:
        queue = chance.choice(busy)
        queue.rest(keeper, chance.choice(list(queue.running)))
        queue.fill(keeper)
        turns += 1
        if turns % 1000 == 0:
            print(f"{turns:,} turns have ended …", file=sys.stderr, flush=True)
    return turns


def _seeded(count: int) -> Queue:
    """A workspace with so many sessions that wait, the first person's first: they came in one go, then the others'."""
    model, thread = make_session()
    started = Draft(ev.THREAD_RUNNING)
    log.append(model.pk, thread.pk, [started])
    model.refresh_from_db()
    thread.refresh_from_db()
    Workspace.objects.filter(pk=model.workspace_id).update(limits={"concurrent_sessions": PLACES})
    sessions, threads, waiting = [], [], {}
    for number in range(count):
        person = f"key_{0 if number < count // 2 else 1 + number % (PEOPLE - 1)}"
        row = copied(model, id=ids.session_id(), created_by_key=person, created_at=timezone.now())
        sessions.append(row)
        threads.append(copied(thread, id=ids.thread_id(), session=row, running_since=timezone.now()))
        waiting[threads[-1].pk] = person
    Session.objects.bulk_create(sessions)
    Thread.objects.bulk_create(threads)
    Session.objects.filter(pk=model.pk).delete()
    return Queue(model.workspace_id, waiting)


def _micro(queues: list[Queue], name: str) -> str:
    return f"{statistics.median(value for queue in queues for value in getattr(queue, name)) * 1e6:,.0f}"
