"""Threads that append to one session wait for each other here; those of two sessions, or in a transaction, do not."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import transaction

from sessions import serial

SECONDS = 20.0


def test_one_at_a_time_in_a_session() -> None:
    inside, most, count = 0, 0, threading.Lock()

    def work(_: int) -> None:
        nonlocal inside, most
        with serial.alone("sesn_one"):
            with count:
                inside += 1
                most = max(most, inside)
            with count:
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(200)))
    assert most == 1
    assert not serial._doors, "nobody wants a door any more"


def test_sessions_do_not_wait_for_each_other() -> None:
    met = threading.Barrier(2)

    def work(session: str) -> int:
        with serial.alone(session):
            return met.wait(SECONDS)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(work, ["sesn_one", "sesn_two"])) == [0, 1]


@pytest.mark.django_db
def test_who_is_in_a_transaction_waits_for_nobody() -> None:
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with serial.alone("sesn_one"):
            held.set()
            over.wait(SECONDS)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(hold)
        assert held.wait(SECONDS)
        with transaction.atomic(), serial.alone("sesn_one"):
            assert not other.done()
        over.set()
