"""One installation whose processes these tests kill, one test after the other; what it cannot outlive is a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator

LEASE_SECONDS = 3


@pytest.fixture(scope="package")
def victim() -> Iterator[Installation]:
    with Installation.started(WORKERS="2", LEASE_SECONDS=str(LEASE_SECONDS)) as running:
        yield running
