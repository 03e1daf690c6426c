"""Ids: of one shape, in the order in which they were made, and never twice."""

from __future__ import annotations

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from contract import ids

if TYPE_CHECKING:
    import pytest


def test_an_id_is_a_prefix_and_24_characters_that_cannot_be_mistaken() -> None:
    assert re.fullmatch(rf"sesn_[{ids.ALPHABET}]{{24}}", ids.session_id())


def test_later_ids_sort_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    moments = [now + passed for passed in (0, 1_000, 58_000, 3_364_000, 10**9, 86_400 * 10**9)]
    monkeypatch.setattr(time, "time_ns", iter(moments).__next__)
    made = [ids.event_id() for _ in moments]
    assert made == sorted(made)


def test_threads_never_make_the_same() -> None:
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda _: ids._drawn(), range(5000)))
    assert len(set(drawn)) == len(drawn)


def test_a_process_that_was_forked_off_draws_numbers_of_its_own() -> None:
    ids._drawn()  # some are held ready now
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(theirs, repr([ids._drawn() for _ in range(70)]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    found = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)
    drawn = {int(number) for number in found.strip("[]").split(",")}
    assert len(drawn) == 70
    assert not drawn & {ids._drawn() for _ in range(70)}
