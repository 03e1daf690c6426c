"""Turns that go round in circles are told apart from long ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessions.harness import stuck
from sessions.harness.stuck import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable


def follow(watch: Watch, rounds: Iterable[tuple[str, str]]) -> None:
    for number, (command, output) in enumerate(rounds):
        watch.called(f"call_{number}", "bash", {"command": command})
        watch.answered(f"call_{number}", [{"type": "text", "text": output}], is_error=False)


def kind_after(rounds: Iterable[tuple[str, str]]) -> str | None:
    watch = Watch()
    follow(watch, rounds)
    verdict = watch.verdict()
    return verdict.kind if verdict else None


def test_the_same_call_with_the_same_result_is_noticed() -> None:
    assert kind_after([("make", "failed")] * (stuck.IDENTICAL_ROUNDS - 1)) is None
    assert kind_after([("make", "failed")] * stuck.IDENTICAL_ROUNDS) == "identical_calls"


def test_the_same_call_whose_result_changes_is_work() -> None:
    assert kind_after(("tail log", f"line {n}") for n in range(200)) is None


def test_two_calls_in_turn_are_noticed() -> None:
    assert kind_after([("ls", "a"), ("pwd", "b")] * (stuck.PING_PONG_ROUNDS // 2)) == "ping_pong"


def test_a_long_while_without_anything_new_is_noticed() -> None:
    circle = [(f"echo {n % 7}", "same") for n in range(stuck.NO_PROGRESS_ROUNDS + 7)]
    assert kind_after(circle[:-1]) is None
    assert kind_after(circle) == "no_progress"


def test_a_thousand_different_steps_are_work() -> None:
    assert kind_after((f"step {n}", "done") for n in range(1000)) is None


def test_parallel_calls_count_as_one_round_whatever_their_order() -> None:
    watch = Watch()
    for number in range(stuck.IDENTICAL_ROUNDS):
        names = ["a", "b"] if number % 2 else ["b", "a"]
        for name in names:
            watch.called(f"{name}{number}", "bash", {"command": name})
        for name in reversed(names):
            watch.answered(f"{name}{number}", [], is_error=False)
    assert watch.verdict() is not None


def test_after_a_reminder_the_count_begins_anew_and_the_next_sign_is_final() -> None:
    watch = Watch()
    follow(watch, [("make", "failed")] * stuck.IDENTICAL_ROUNDS)
    first = watch.verdict()
    assert first is not None
    assert not first.reminded
    watch.remind()
    assert watch.verdict() is None
    follow(watch, [("make", "failed")] * stuck.IDENTICAL_ROUNDS)
    second = watch.verdict()
    assert second is not None
    assert second.reminded
