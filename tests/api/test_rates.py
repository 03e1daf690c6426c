"""Requests a minute of one key: counted, refused with the time to wait, and off by default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from config import rates

if TYPE_CHECKING:
    from tests.api.conftest import Caller


@pytest.fixture(autouse=True)
def one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "now", lambda: 1_000_000_010.0)
    monkeypatch.setattr(rates, "TIMEOUT_SECONDS", 30)  # a busy machine is no reason to let a request pass
    rates.client.cache_clear()


def test_a_key_over_its_limit_waits_for_the_next_minute(
    alice: Caller, charlie: Caller, settings: Any, redis_url: str
) -> None:
    settings.HOLDFAST_REQUESTS_PER_MINUTE = 3
    statuses = [alice.send("GET", "/agents").status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    response = alice.send("GET", "/agents")
    assert response.json()["error"]["type"] == "rate_limit_error"
    assert response["retry-after"] == "10"
    assert charlie.send("GET", "/agents").status_code == 200, "every key has its own count"


def test_there_is_no_limit_unless_it_is_set(alice: Caller, redis_url: str) -> None:
    assert [alice.send("GET", "/agents").status_code for _ in range(5)] == [200] * 5


def test_a_redis_that_is_away_stops_nobody(alice: Caller, settings: Any) -> None:
    settings.HOLDFAST_REQUESTS_PER_MINUTE = 1
    settings.HOLDFAST_REDIS_URL = "redis://127.0.0.1:9"
    assert [alice.send("GET", "/agents").status_code for _ in range(3)] == [200] * 3
