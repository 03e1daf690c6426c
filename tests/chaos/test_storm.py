"""A short storm on every run of the suite; `make chaos KILLS=1000` is the long one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.storm import storm

if TYPE_CHECKING:
    from tests.live import Installation

pytestmark = [pytest.mark.live, pytest.mark.sandbox]


def test_a_storm_of_kills_loses_nothing_and_doubles_nothing(victim: Installation) -> None:
    report = storm(victim, kills=6, sessions=3, steps=12, seed=7)
    assert report.complaints == []
    assert sum(report.kills.values()) == 6
