"""Clocks that jump, and nights without a worker: what counts as running time is what somebody can have worked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.utils import timezone

from sessions import events as ev
from sessions import log, projected, threads
from sessions.events import Draft
from sessions.harness import decide as do
from sessions.harness import runner
from sessions.harness.decide import decide
from sessions.harness.lease import LIVENESS_CLASS
from sessions.models import Event, Session, Thread
from sessions.projections.columns import Clock
from sessions.projections.operations import sentence
from sessions.sweeper import Sweeper
from sessions.system.strip import COUNTS
from sessions.verify import verify
from tests.sessions.harness.test_decide import ABOUT, LIMITS, World
from tests.sessions.harness.test_loop import say
from tests.sessions.rows import make_session

if TYPE_CHECKING:
    from sessions.harness.lease import Keeper, Lease

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]

HOUR = 3600.0
LITTLE = 90.0  # a lease of these tests lasts 60 seconds


def clock_jumps(seconds: float = HOUR) -> None:
    """The database's clock goes ahead: seen from then on, all that is written down lies so much further back."""
    moments = {
        "agent_sessions_event": ("created_at", "processed_at"),
        "agent_sessions_session": ("created_at", "updated_at", "running_since", "ended_at"),
        "agent_sessions_thread": ("created_at", "updated_at", "running_since", "ended_at", "lease_expires", "wake_at"),
    }
    with connection.cursor() as cursor:
        for table, columns in moments.items():
            changes = ", ".join(f"{column} = {column} - {seconds} * interval '1 second'" for column in columns)
            cursor.execute(f"UPDATE {table} SET {changes}")


def active(session: Session) -> float:
    session.refresh_from_db()
    assert verify(session) == []
    return projected.clock(session).active_at(timezone.now())


def notes(session: Session) -> list[float]:
    return [event.payload["seconds"] for event in log.read(session.pk) if event.type == ev.OPS_UNATTENDED]


def claimed(worker: Keeper, thread: Thread) -> Lease:
    lease = worker.claim(thread.pk)
    assert lease is not None
    return lease


def second_thread(session: Session, primary: Thread) -> Thread:
    """Another thread of the session that runs."""
    now = timezone.now()
    made = Thread.objects.create(
        session=session, parent=primary, agent=primary.agent, agent_name="Other", created_at=now, updated_at=now
    )
    log.append(session.pk, made.pk, [Draft(ev.THREAD_RUNNING, threads.about(made))])
    return made


def test_a_jump_of_the_clock_at_work_adds_no_more_than_a_lease_s_time(worker: Keeper) -> None:
    session, thread = make_session()
    say(session, "hello")
    lease = claimed(worker, thread)
    clock_jumps()
    worker._beat()
    assert lease.lost
    runner.run(thread.pk)
    assert active(session) < LITTLE
    thread.refresh_from_db()
    assert thread.active_seconds < LITTLE
    (seconds,) = notes(session)
    assert HOUR - LITTLE < seconds < HOUR


def test_a_night_in_the_queue_is_no_running_time() -> None:
    session, thread = make_session()
    say(session, "hello")
    clock_jumps()
    runner.run(thread.pk)
    assert session.threads.get().status == "idle"
    assert active(session) < LITTLE
    assert len(notes(session)) == 1


def test_a_turn_that_was_handed_over_counts_up_to_then(worker: Keeper) -> None:
    session, thread = make_session()
    say(session, "hello")
    lease = claimed(worker, thread)
    clock_jumps(10)  # ten seconds of work
    log.append(session.pk, thread.pk, [Draft(ev.MODEL_START)], lease=lease)
    worker.release(lease, clean=True)
    clock_jumps()
    runner.run(thread.pk)
    assert 9.9 < active(session) < LITTLE


def test_a_short_wait_counts_and_isn_t_told(worker: Keeper) -> None:
    session, thread = make_session()
    say(session, "hello")
    clock_jumps(50)
    runner.run(thread.pk)
    assert 50 <= active(session) < LITTLE
    assert notes(session) == []


def test_the_threads_of_a_session_leave_the_same_night_out_of_it_once(worker: Keeper) -> None:
    session, primary = make_session()
    say(session, "hello")
    other = second_thread(session, primary)
    for thread in (primary, other):
        claimed(worker, thread)
    clock_jumps(20)  # twenty seconds of work
    worker._beat()
    clock_jumps()
    for thread in (primary, other):
        runner.run(thread.pk)
    assert 20 <= active(session) < LITTLE + 20
    assert len(notes(session)) == 2
    for thread in session.threads.all():
        assert 20 <= thread.active_seconds < LITTLE + 20


def test_a_session_counts_on_while_another_of_its_threads_is_at_work(worker: Keeper) -> None:
    session, primary = make_session()
    say(session, "hello")
    other = second_thread(session, primary)
    claimed(worker, other)
    clock_jumps(HOUR)
    Thread.objects.filter(pk=other.pk).update(lease_expires=timezone.now() + timedelta(seconds=60))  # it kept beating
    runner.run(primary.pk)
    assert active(session) > HOUR
    primary.refresh_from_db()
    assert primary.active_seconds < LITTLE


def test_what_was_left_out_already_is_not_left_out_again() -> None:
    start = datetime(2031, 5, 1, tzinfo=UTC)
    clock = Clock("running", running_since=start)
    minutes = [start + timedelta(minutes=number) for number in range(10)]
    once = clock.without(minutes[1].isoformat(), minutes[5])
    assert once.active_at(minutes[6]) == 120
    assert once.without(minutes[2].isoformat(), minutes[6]) == once
    assert once.without(None, minutes[7]) == once
    assert once.enter("idle", minutes[8]).without(minutes[8].isoformat(), minutes[9]).active_seconds == 240


def test_a_turn_lasts_as_long_as_it_does_when_the_clock_is_set_back(
    worker: Keeper,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session, thread = make_session()
    say(session, "hello")
    lease = claimed(worker, thread)
    ahead = timezone.now() + timedelta(hours=1)
    Session.objects.filter(pk=session.pk).update(updated_at=ahead)  # as it was before the clock was set back
    log.append(session.pk, thread.pk, [Draft(ev.MODEL_START)], lease=lease)
    assert lease.kept is not None
    lease.kept = replace(lease.kept, ticks=lease.kept.ticks - 30)  # half a minute ago
    (later,) = log.append(session.pk, thread.pk, [Draft(ev.MODEL_END)], lease=lease)
    assert 30 <= (later.created_at - ahead).total_seconds() < LITTLE


def test_a_lost_wake_up_is_found_although_the_clock_was_set_back() -> None:
    session, thread = make_session()
    say(session, "hello")
    Thread.objects.filter(pk=thread.pk).update(updated_at=timezone.now() + timedelta(hours=1))
    assert thread.pk in Sweeper(lambda: True).sweep()


def test_a_session_says_in_words_how_long_nobody_had_it() -> None:
    told = [sentence(ev.OPS_UNATTENDED, {"seconds": seconds}) for seconds in (75.4, 5400)]
    assert told == [
        "No worker had this for 75 s; that is no running time",
        "No worker had this for 1 h 30 min; that is no running time",
    ]


@pytest.mark.parametrize("seconds", [HOUR, 0.0])
def test_a_pause_before_a_retry_lasts_no_longer_for_a_clock_that_is_set_back(seconds: float) -> None:
    session, thread = make_session()
    say(session, "hello")
    wake_at = timezone.now() + timedelta(seconds=30)
    pause = Draft(ev.THREAD_RESCHEDULED, threads.about(thread), private={"wake_at": wake_at.isoformat()})
    log.append(session.pk, thread.pk, [pause])
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, [LIVENESS_CLASS, 65])
        assert cursor.fetchone()[1] == 0
    clock_jumps(-seconds)
    Event.objects.filter(session=session, type=ev.THREAD_RESCHEDULED).update(
        private={"wake_at": (wake_at + timedelta(seconds=seconds)).isoformat()}
    )
    assert (thread.pk in Sweeper(lambda: True).sweep()) == bool(seconds)
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, [LIVENESS_CLASS, 65])
        assert cursor.fetchone()[1] == bool(seconds)
    runner.run(thread.pk)
    session.refresh_from_db()
    assert (session.stop_reason == ev.END_TURN) == bool(seconds)


def test_a_clock_that_was_set_back_makes_no_pause_longer() -> None:
    world = World(["fail"])
    world.start()
    world.reply(world.add(ev.MODEL_START).id)
    before = world.now - timedelta(hours=1)
    (retry,) = decide(world.state, LIMITS, before)
    assert isinstance(retry, do.Retry)
    assert before < retry.at <= before + timedelta(seconds=1)
    world.add(ev.THREAD_RESCHEDULED, ABOUT, private={"wake_at": (world.now + timedelta(seconds=1)).isoformat()})
    assert decide(world.state, LIMITS, world.now) == [do.Wait(world.now + timedelta(seconds=1))]
    assert decide(world.state, LIMITS, before) == [do.CallModel(resume=True)]
