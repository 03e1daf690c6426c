"""SIGTERM to a worker while sessions work: nothing is lost and no finished request is asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.drain import drain

if TYPE_CHECKING:
    from tests.live import Installation

pytestmark = [pytest.mark.live, pytest.mark.sandbox]


def test_workers_told_to_end_hand_their_sessions_over(victim: Installation) -> None:
    assert drain(victim, 6) == []
