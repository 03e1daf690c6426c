"""A worker of the test's own, for tests that run the loop in their own process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sessions.harness import lease as leases
from sessions.harness.lease import Keeper

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Keeper]:
    """This test's worker; nobody else is woken."""
    settings.HOLDFAST_RETRY_BASE_SECONDS = 0.01
    made = Keeper(ttl=60.0)
    made._hold_liveness()
    monkeypatch.setattr(leases, "_keeper", made)
    monkeypatch.setattr("sessions.wake.wake", lambda thread_id: None)
    monkeypatch.setattr("sessions.wake.drive_workflow", lambda run_id: None)
    monkeypatch.setattr("sessions.threads.drive_workflow", lambda run_id: None)
    yield made
    made._hold_liveness().close()
