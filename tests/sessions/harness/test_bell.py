"""The flag of a lease, for those who wait for a socket as well."""

from __future__ import annotations

import os
import select

from agents.providers.base import Waking
from sessions.harness.bell import Attention, Bell


def rings(bell: Bell) -> bool:
    return bool(select.select([bell], [], [], 0)[0])


def test_a_bell_is_heard_until_it_is_silenced_and_stays_set() -> None:
    bell = Bell()
    assert not rings(bell)
    bell.set()
    bell.ring()
    assert rings(bell)
    bell.silence()
    bell.silence()
    assert not rings(bell)
    assert bell.is_set()
    bell.ring()
    assert rings(bell)
    bell.close()


def test_a_ring_alone_sets_nothing() -> None:
    bell = Bell()
    bell.ring()
    assert not bell.is_set()
    bell.close()


def test_a_closed_bell_may_be_rung() -> None:
    bell = Bell()
    bell.close()
    bell.close()
    bell.set()
    assert bell.is_set()


def test_a_closed_bell_leaves_alone_who_has_its_descriptor_now() -> None:
    bell = Bell()
    number = bell.fileno()
    bell.close()
    mine, theirs = os.pipe()
    try:
        os.dup2(mine, number)
        os.write(theirs, b"8 bytes.")
        bell.silence()
        assert select.select([number], [], [], 0)[0], "nobody else has read it"
        assert bell.fileno() == -1
    finally:
        for descriptor in {mine, theirs, number}:
            os.close(descriptor)


def test_a_provider_takes_attention_for_what_wakes_it() -> None:
    bell = Bell()
    attention = Attention(bell.is_set, bell)
    assert isinstance(attention, Waking)
    assert not attention()
    bell.set()
    assert attention()
    attention.silence()
    assert not rings(bell)
    bell.close()
