"""Two sessions beside each other: what differs stands against its own kind."""

from __future__ import annotations

from datetime import UTC, datetime

from sessions.projections.compare import aligned
from sessions.projections.transcript import Row, Text

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def rows(*said: tuple[str, str]) -> list[Row]:
    return [Row(f"sevt_{n}", n, kind, NOON, Text(words)) for n, (kind, words) in enumerate(said, start=1)]


def test_a_fork_with_a_prompt_of_its_own_is_aligned_by_who_spoke() -> None:
    origin = rows(("person", "Go"), ("agent", "First"), ("agent", "Second"))
    fork = rows(("person", "Go"), ("person", "Rather this"), ("agent", "Other"))
    found = [(pair.left and pair.left.text.body, pair.right and pair.right.text.body) for pair in aligned(origin, fork)]
    assert found == [("Go", "Go"), (None, "Rather this"), ("First", "Other"), ("Second", None)]


def test_two_prompts_stand_beside_each_other() -> None:
    left, right = rows(("person", "This"), ("agent", "A")), rows(("person", "That"), ("agent", "B"))
    assert [(pair.left.kind, pair.right.kind) for pair in aligned(left, right) if pair.left and pair.right] == [
        ("person", "person"),
        ("agent", "agent"),
    ]
