"""A server that can do little at a time: nobody fails because many ask together."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from agents.providers import anthropic
from agents.providers.base import StreamPart, TurnInterrupted
from agents.providers.pacing import Pace
from tests.agents.providers.asking import HI, never, provider
from tests.agents.providers.peer import Peer, finished, started, stream, text_block

HELLO = stream(started(), *text_block(0, "hello"), *finished(), "end")


class Server:
    """Answers ``able`` requests at a time and turns the others away, as 429 and 529 do."""

    def __init__(self, able: int) -> None:
        self.able, self.running, self.turned_away = able, 0, 0
        self._lock = threading.Lock()

    def ask(self) -> bool:
        with self._lock:
            self.running += 1
            turned_away = self.running > self.able
            self.turned_away += turned_away
        time.sleep(0.002 if turned_away else 0.02)
        with self._lock:
            self.running -= 1
        return not turned_away


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_halves_once_for_what_was_under_way_and_grows_by_one_for_each_round_of_answers() -> None:
    clock = Clock()
    pace = Pace(64, clock)
    assert all(pace.take(0) for _ in range(64))
    assert not pace.take(0)
    pace.pushed_back(None)
    pace.pushed_back(None)
    assert pace.limit == 32
    clock.now += 0.3
    pace.pushed_back(None)
    assert pace.limit == 16
    for _ in range(17):
        pace.coped()
    assert pace.limit == 17


def test_it_never_goes_below_one_nor_above_its_most() -> None:
    clock = Clock()
    pace = Pace(4, clock)
    for _ in range(10):
        clock.now += 2
        pace.pushed_back(None)
    assert pace.limit == 1
    for _ in range(100):
        pace.coped()
    assert pace.limit == 4


def test_nobody_is_let_in_before_the_server_wants_to_be_asked_again() -> None:
    clock = Clock()
    pace = Pace(4, clock)
    pace.pushed_back(3.0)
    assert not pace.take(0)
    clock.now += 3.1
    assert pace.take(0)


def test_a_fan_out_over_a_small_server_comes_through_and_learns_to_ask_less() -> None:
    server, pace = Server(able=4), Pace(64)

    def turn(number: int) -> int:
        tries = 0
        while True:
            tries += 1
            assert pace.take(30)
            try:
                answered = server.ask()
            finally:
                pace.give_back()
            if answered:
                pace.coped()
                return tries
            pace.pushed_back(0.05)
            time.sleep(0.02)

    with ThreadPoolExecutor(64) as pool:
        tries = list(pool.map(turn, range(200)))
    assert len(tries) == 200
    assert sum(tries) - 200 == server.turned_away
    assert pace.limit < 64


def test_who_waits_for_a_place_sleeps_until_one_is_free() -> None:
    looked: list[float] = []

    def clock() -> float:
        looked.append(time.monotonic())
        return looked[-1]

    pace = Pace(1, clock)
    assert pace.take(0)
    looked.clear()
    assert not pace.take(0.3)
    assert len(looked) < 10


def test_a_request_held_up_by_what_another_was_told_says_what_it_waits_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(anthropic, "QUIET_SECONDS", 0.1)
    parts: list[StreamPart] = []
    with Peer(HELLO) as server:
        made = provider(server)
        made._pace(HI.model).pushed_back(1.0)
        made.stream(HI, parts.append, never)
    kinds = [part.kind for part in parts]
    assert kinds[:2] == ["waiting", "asked"]
    assert kinds.count("waiting") == kinds.count("asked") == 1
    assert 0 < (parts[0].seconds or 0) <= 1.0


def test_a_short_wait_is_not_worth_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anthropic, "QUIET_SECONDS", 60.0)
    parts: list[StreamPart] = []
    with Peer(HELLO) as server:
        made = provider(server)
        made._pace(HI.model).pushed_back(0.5)
        made.stream(HI, parts.append, never)
    assert not {part.kind for part in parts} & {"waiting", "asked"}


def test_an_interrupt_ends_the_wait_at_once_and_leaves_no_place_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anthropic, "QUIET_SECONDS", 0.1)
    parts: list[StreamPart] = []
    with Peer() as server:
        made = provider(server)
        pace = made._pace(HI.model)
        pace.pushed_back(30.0)
        with pytest.raises(TurnInterrupted):
            made.stream(HI, parts.append, lambda: bool(parts))
        assert pace.held, "it did not wait to the end"
        assert server.seen == [], "nothing was asked"
    assert [part.kind for part in parts] == ["waiting"]
