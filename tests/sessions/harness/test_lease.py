from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.db import connection, transaction

from sessions import events as ev
from sessions import inbox, log, sweeper
from sessions.events import Draft
from sessions.harness import lease as leases
from sessions.harness.lease import LIVENESS_CLASS, Keeper
from sessions.models import Thread
from sessions.sweeper import Patience, Sweeper
from tests.live import wait_for
from tests.sessions.rows import acting, make_session

if TYPE_CHECKING:
    from collections.abc import Iterator

SOON = datetime.now(UTC) + timedelta(hours=1)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def running() -> Thread:
    session, thread = make_session()
    text = {"type": ev.USER_MESSAGE, "content": [{"type": "text", "text": "hello"}]}
    inbox.send(session, [text], acting(session.workspace))
    return thread


@pytest.fixture
def keepers() -> Iterator[list[Keeper]]:
    made = [Keeper(ttl=60.0), Keeper(ttl=60.0)]
    for keeper in made:
        keeper._hold_liveness()
    yield made
    for keeper in made:
        keeper._hold_liveness().close()


def test_only_one_of_many_claims_wins(running: Thread, keepers: list[Keeper]) -> None:
    won = []

    def claim(keeper: Keeper) -> None:
        lease = keeper.claim(running.id)
        if lease is not None:
            won.append(lease)
        connection.close()

    threads = [threading.Thread(target=claim, args=(keepers[number % 2],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert won[0].fence == 1


def test_a_resting_thread_cannot_be_claimed(keepers: list[Keeper]) -> None:
    _, thread = make_session()
    assert keepers[0].claim(thread.id) is None


def test_a_released_thread_with_work_says_so(running: Thread, keepers: list[Keeper]) -> None:
    lease = keepers[0].claim(running.id)
    assert lease is not None
    assert keepers[0].release(lease, clean=True)
    again = keepers[1].claim(running.id)
    assert again is not None
    assert again.fence == 2
    assert again.previous == ""


def test_a_heartbeat_notices_a_lost_lease(running: Thread, keepers: list[Keeper]) -> None:
    lease = keepers[0].claim(running.id)
    assert lease is not None
    keepers[0]._beat()
    assert not lease.should_stop()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE agent_sessions_thread SET fence = fence + 1 WHERE id = %s", [running.id])
    keepers[0]._beat()
    assert lease.should_stop()


def test_the_lease_of_a_dead_worker_is_freed_at_once_and_its_successor_knows(
    running: Thread, keepers: list[Keeper]
) -> None:
    first, second = keepers
    lease = first.claim(running.id)
    assert lease is not None
    assert leases.free_orphans() == []
    first._hold_liveness().close()  # what PostgreSQL sees of a kill -9
    assert _until_freed() == [running.id]
    successor = second.claim(running.id)
    assert successor is not None
    assert successor.previous == first.owner
    with pytest.raises(log.LeaseLost):
        log.append(lease.session_id, running.id, [Draft(ev.MODEL_START)], lease=lease)


def _until_freed() -> list[str]:
    """The server notices a closed connection within milliseconds, but not at once."""
    for _ in range(2000):
        freed = leases.free_orphans()
        if freed:
            return [orphan.thread_id for orphan in freed]
    return []


def test_workers_are_counted_while_they_live(keepers: list[Keeper]) -> None:
    assert len(leases.workers_alive()) >= 2


def test_an_interrupt_reaches_the_lease_of_its_session_only(running: Thread, keepers: list[Keeper]) -> None:
    lease = keepers[0].claim(running.id)
    assert lease is not None
    keepers[0].interrupt("sesn_other", None)
    assert not lease.should_stop()
    keepers[0].interrupt(lease.session_id, None)
    assert lease.should_stop()
    assert lease.changed.is_set()


def test_an_interrupt_whose_nudge_got_lost_is_seen_on_the_log(running: Thread, keepers: list[Keeper]) -> None:
    lease = keepers[0].claim(running.id)
    assert lease is not None
    seen = [_suspected(keepers[0], lease)]
    (entry,) = log.append(lease.session_id, running.id, [Draft(ev.USER_INTERRUPT, processed=False)])
    seen.append(_suspected(keepers[0], lease))
    log.append(lease.session_id, running.id, [Draft(ev.OPS_PROCESSED, {"event_ids": [entry.id]})])
    seen.append(_suspected(keepers[0], lease))
    assert seen == [False, True, False]


def _suspected(keeper: Keeper, lease: leases.Lease) -> bool:
    """What one look at the log, by itself, makes of a lease."""
    lease.suspected = False
    keeper._look_for_interrupts()
    return lease.suspected


def test_the_sweeper_wakes_a_thread_whose_wake_up_got_lost(running: Thread, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[str] = []
    monkeypatch.setattr("sessions.sweeper.wake", woken.append)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE agent_sessions_thread SET updated_at = now() - interval '5 s' WHERE id = %s", [running.id]
        )
    assert Sweeper(lambda: True).sweep() == [running.id]
    assert woken == [running.id]


def test_a_backlog_is_looked_at_less_often_but_at_once_when_a_worker_comes(
    running: Thread, keepers: list[Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[list[str]] = []

    def look(_: Patience, due: list[str]) -> list[str]:
        looks.append(due)
        return []

    monkeypatch.setattr(Patience, "pick", look)
    monkeypatch.setattr(sweeper, "BATCH", 1)
    monkeypatch.setattr(sweeper, "BACKLOG_SECONDS", 600.0)
    Thread.objects.filter(pk=running.pk).update(updated_at=datetime.now(UTC) - timedelta(seconds=5))
    sweeping = Sweeper(lambda: True)
    for _ in range(3):
        sweeping.sweep()
    assert looks == [[running.pk]]
    keepers[0]._hold_liveness().close()
    wait_for(lambda: keepers[0].number not in leases.workers_alive(), 20)
    sweeping.sweep()
    assert looks == [[running.pk]] * 2


def test_a_renewal_and_the_search_for_orphans_never_wait_for_each_other() -> None:
    """A renewal locks by id and waits for the first row, whose session is written to; the rows lie the other way round.

    The search would lock the second, wait for the first in turn, and so deadlock.
    """
    first, second = sorted(make_session()[1].pk for _ in range(2))
    holds = [second, first]
    with psycopg.connect(**leases.dsn()) as writes, psycopg.connect(**leases.dsn(), autocommit=True) as renews:
        for pk in holds:  # each update puts the row's newest version at the end
            Thread.objects.filter(pk=pk).update(status="running", fence=1, lease_owner="host:1:77", lease_expires=SOON)
        writes.execute("SELECT 1 FROM agent_sessions_thread WHERE id = %s FOR UPDATE", [first])
        renewed: list[str] = []

        def renew() -> None:
            known = {"ttl": 60, "threads": holds, "fences": [1, 1]}
            renewed.extend(row[0] for row in renews.execute(leases.RENEW, known).fetchall())

        renewal = threading.Thread(target=renew)
        renewal.start()
        wait_for(lambda: waits(renews), 20)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '10s'")
            assert [orphan.thread_id for orphan in leases.free_orphans()] == [second]
        writes.commit()
        renewal.join(20)
        assert renewed == [first], "the other one's lease was ended"
        assert [orphan.thread_id for orphan in leases.free_orphans()] == [first]


def waits(link: psycopg.Connection[Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s", [link.info.backend_pid])
        return bool(cursor.fetchone()[0])


def test_a_thread_is_woken_again_only_after_a_growing_pause() -> None:
    now = [0.0]
    patience = Patience(clock=lambda: now[0])
    picked = []
    for second in range(40):
        now[0] = float(second)
        picked += [second] if patience.pick(["sthr_1"]) else []
    assert picked == [0, 2, 6, 14, 30]


def test_a_second_sweeper_takes_the_lock_of_one_that_hangs() -> None:
    with psycopg.connect(**connection.get_connection_params()) as hung:
        hung.autocommit = True
        hung.execute("SELECT pg_advisory_lock(%s, %s)", [LIVENESS_CLASS, sweeper.SWEEPER_NUMBER])
        assert not sweeper._lead()  # it was heard of a moment ago
        assert not sweeper._lead(silent_seconds=0.0)
        until = time.monotonic() + 20
        while not (leads := sweeper._lead()) and time.monotonic() < until:
            time.sleep(0.02)
        assert leads
        with pytest.raises(psycopg.OperationalError):
            hung.execute("SELECT 1")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock_all()")  # the pool keeps the connection, and so the lock


def test_one_errand_of_the_sweeper_that_fails_keeps_no_other_from_being_done(monkeypatch: pytest.MonkeyPatch) -> None:
    done = []

    def fails() -> None:
        raise KeyError("stop_reason")

    monkeypatch.setattr("sessions.schedules.runs.fire_due", fails)
    monkeypatch.setattr("sessions.approvals.deadlines.expire_due", lambda: done.append("deadlines"))
    monkeypatch.setattr("sessions.files.collect_garbage", fails)
    monkeypatch.setattr("sessions.work.queue.mend", lambda: done.append("mend"))
    monkeypatch.setattr(sweeper, "RETURN_SECONDS", 3600.0)
    one = Sweeper(lambda: True)
    one._errands()
    one._tidy()
    assert done == ["deadlines", "mend"]


def test_a_claim_while_its_worker_drains_does_not_wait(running: Thread, keepers: list[Keeper]) -> None:
    keepers[0].drain()
    lease = keepers[0].claim(running.id)
    assert lease is not None
    assert lease.changed.is_set()


def test_our_own_connections_take_the_certificates_that_django_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {**connection.get_connection_params(), "sslrootcert": "/etc/ca.pem", "options": "-c lock_timeout=5s"}
    monkeypatch.setattr(connection, "get_connection_params", lambda: {**given, "connect_timeout": 9})
    found = leases.dsn()
    assert (found["sslrootcert"], found["options"]) == ("/etc/ca.pem", "-c lock_timeout=5s")
    assert not {"connect_timeout", "pool", "context", "cursor_factory", "prepare_threshold"} & found.keys()


def test_a_worker_whose_connection_ends_has_its_lock_again_before_anybody_takes_it_for_dead(
    running: Thread, keepers: list[Keeper]
) -> None:
    keeper = keepers[0]
    assert keeper.claim(running.id) is not None
    assert not keeper._ends_within(0.0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [keeper._hold_liveness().info.backend_pid])
    assert keeper._ends_within(60.0)
    assert keeper._returned()
    assert keeper.number in leases.workers_alive()
    assert leases.free_orphans() == []


def test_the_sweeper_takes_nobody_for_dead_right_after_the_database_was_away(
    running: Thread, keepers: list[Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = keepers[0].claim(running.id)
    assert lease is not None
    keepers[0]._hold_liveness().close()
    wait_for(lambda: keepers[0].number not in leases.workers_alive(), 60)
    looks = iter([True, False])
    monkeypatch.setattr(sweeper, "RETURN_SECONDS", 3600.0)
    one = Sweeper(lambda: not next(looks, False))
    monkeypatch.setattr(sweeper, "_lead", _ended)
    one.run()
    assert running.id not in one.sweep()
    one._returns_until = 0.0
    assert running.id in one.sweep()


def _ended() -> bool:
    """What the sweeper meets while the database is away: its connection ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    return True
