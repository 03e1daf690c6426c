"""Appends of several sessions in one commit: as if each had come alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from sessions import batches, log
from sessions import events as ev
from sessions.events import Draft
from sessions.models import Event, Session
from sessions.verify import verify
from tests.live import wait_for
from tests.sessions.test_log import TEXT
from tests.sessions.test_log_at_once import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

pytestmark = pytest.mark.django_db(transaction=True)


class Crowd:
    """Threads that append while every place is taken, and so in one batch once they are let go."""

    def __init__(self, pool: ThreadPoolExecutor, made: batches.Batches, monkeypatch: pytest.MonkeyPatch) -> None:
        self._pool, self._batches = pool, made
        self._held = threading.Event()
        self._before = [running() for _ in range(batches.AT_ONCE)]
        self.sizes: list[int] = []
        carry_out = batches._carry_out

        def slowly(batch: list[batches._Write]) -> None:
            self.sizes.append(len(batch))
            if len(self.sizes) <= batches.AT_ONCE:
                assert self._held.wait(20)
            carry_out(batch)

        monkeypatch.setattr(batches, "_carry_out", slowly)

    def does(self, work: Callable[[], Any]) -> Future[Any]:
        """Carry out ``work`` in a thread of its own, which gives its connection back."""

        def alone() -> Any:
            try:
                return work()
            finally:
                connection.close()

        return self._pool.submit(alone)

    def together(self, *works: Callable[[], Any]) -> list[Future[Any]]:
        """All of them begin while others are under way; then these end."""
        before = [self.does(_append(*turn)) for turn in self._before]
        wait_for(lambda: len(self.sizes) == batches.AT_ONCE, 20)
        after = []
        for number, work in enumerate(works, 1):
            after.append(self.does(work))
            wait_for(lambda number=number: len(self._batches._waiting) == number, 20)  # type: ignore[misc]
        self._held.set()
        for one in before:
            one.result(timeout=20)
        return after


@pytest.fixture
def crowd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    made = batches.Batches()
    monkeypatch.setattr(batches, "row", made.row)
    monkeypatch.setattr(batches, "PATIENCE_SECONDS", 60.0)
    with ThreadPoolExecutor(12) as pool:
        yield Crowd(pool, made, monkeypatch)


def _append(session: Session, thread: Any, lease: Any, type_: str = ev.MODEL_START) -> Callable[[], Any]:
    return lambda: log.append(session.id, thread.id, [Draft(type_)], lease=lease)


def _last(session: Session) -> str:
    return Event.objects.filter(session_id=session.id).latest("seq").type


def test_what_comes_at_once_is_one_commit(crowd: Crowd) -> None:
    turns = [running() for _ in range(4)]
    for one in crowd.together(*[_append(*turn) for turn in turns]):
        (stored,) = one.result(timeout=20)
        assert stored.seq == 3
    assert crowd.sizes == [1] * batches.AT_ONCE + [4]
    ids = [session.id for session, _, _ in turns]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT xmin::text) FROM agent_sessions_event WHERE session_id = ANY(%s) AND type = %s",
            [ids, ev.MODEL_START],
        )
        assert cursor.fetchone() == (1,)
    for session, thread, lease in turns:  # each lease knows its rows: the next append is at once, too
        log.append(session.id, thread.id, [Draft(ev.MODEL_START)], lease=lease, untouched=True)
        assert verify(Session.objects.get(pk=session.pk)) == []


def test_one_that_fails_takes_none_with_it(crowd: Crowd) -> None:
    good, lost = running(), running()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE agent_sessions_thread SET fence = fence + 1 WHERE id = %s", [lost[1].id])
    fine, refused = crowd.together(_append(*good), _append(*lost))
    assert len(fine.result(timeout=20)) == 1
    with pytest.raises(log.LeaseLost):
        refused.result(timeout=20)
    assert crowd.sizes[-1] == 2
    assert (_last(good[0]), _last(lost[0])) == (ev.MODEL_START, ev.THREAD_RUNNING)
    assert [verify(Session.objects.get(pk=session.pk)) for session, _, _ in (good, lost)] == [[], []]


def test_one_whose_session_was_touched_writes_after_the_others(crowd: Crowd) -> None:
    good, touched = running(), running()
    log.append(touched[0].id, touched[1].id, [Draft(ev.USER_MESSAGE, TEXT, processed=False)])
    for one in crowd.together(_append(*good), _append(*touched)):
        one.result(timeout=20)
    types = [event.type for event in log.read(touched[0].id)]
    assert types[-2:] == [ev.USER_MESSAGE, ev.MODEL_START]
    assert _last(good[0]) == ev.MODEL_START


def test_a_row_that_somebody_holds_keeps_only_its_own_waiting(crowd: Crowd) -> None:
    good, held = running(), running()
    with transaction.atomic():
        Session.objects.select_for_update().get(pk=held[0].pk)
        fine, waits = crowd.together(_append(*good), _append(*held))
        assert len(fine.result(timeout=20)) == 1
        assert not waits.done()
    assert len(waits.result(timeout=20)) == 1


def test_two_of_one_session_are_not_in_one_batch(crowd: Crowd) -> None:
    session, thread, lease = running()
    before = lease.kept
    first, second = crowd.together(_append(session, thread, lease), _append(session, thread, lease))
    seqs = {first.result(timeout=20)[0].seq, second.result(timeout=20)[0].seq}
    assert seqs == {3, 4}
    assert before is not lease.kept
    assert verify(Session.objects.get(pk=session.pk)) == []


def test_whoever_waits_long_begins_another_batch(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "PATIENCE_SECONDS", 0.05)
    turns = [running() for _ in range(batches.AT_ONCE)]
    stuck = [crowd.does(_append(*turn)) for turn in turns]
    wait_for(lambda: len(crowd.sizes) == batches.AT_ONCE, 20)
    assert len(crowd.does(_append(*running())).result(timeout=20)) == 1
    assert not any(one.done() for one in stuck)
    crowd._held.set()
    for one in stuck:
        one.result(timeout=20)


def test_of_a_batch_that_was_cut_off_everybody_hears(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = [running(), running()]

    def cut_off(_: Any) -> list[Any]:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(batches, "_together", cut_off)
    for one in crowd.together(*[_append(*turn) for turn in turns]):
        with pytest.raises(DatabaseError, match="lost"):
            one.result(timeout=20)
    assert [_last(session) for session, _, _ in turns] == [ev.THREAD_RUNNING] * 2
