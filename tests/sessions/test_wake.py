"""Wake-ups: what a broker does to those who send them."""

from __future__ import annotations

from typing import Any

import pytest
from celery import current_app
from kombu.exceptions import OperationalError

from sessions import wake


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks of which the broker was asked to take one."""
    monkeypatch.setattr(wake, "_hung_until", 0.0)
    asked: list[str] = []

    def refuse(task: str, *args: Any, **options: Any) -> None:
        asked.append(task)
        raise OperationalError("no answer")

    monkeypatch.setattr(current_app, "send_task", refuse)
    return asked


def test_a_broker_that_is_away_is_asked_for_every_wake_up(sent: list[str]) -> None:
    wake.wake("sthr_a")
    wake.wake("sthr_b")
    assert len(sent) == 2


def test_a_broker_that_hangs_holds_up_one_and_is_then_left_alone(
    sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake, "HANGS_SECONDS", -1.0)
    monkeypatch.setattr(wake, "REST_SECONDS", 3600.0)
    wake.wake("sthr_a")
    wake.wake("sthr_b")
    assert len(sent) == 1
    monkeypatch.setattr(wake, "_hung_until", 0.0)
    wake.wake("sthr_b")
    assert len(sent) == 2
