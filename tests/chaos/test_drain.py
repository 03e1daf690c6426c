"""SIGTERM to a worker while sessions work: nothing is lost and no finished request is asked again."""

from __future__ import annotations

import pytest

from tests.chaos.drain import drain
from tests.live import Installation

pytestmark = [pytest.mark.live, pytest.mark.sandbox]


def test_workers_told_to_end_hand_their_sessions_over() -> None:
    with Installation.started(WORKERS="2") as installation:
        assert drain(installation, 6) == []
