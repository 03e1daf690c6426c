from __future__ import annotations

import pytest

from agents.sandboxes.conformance import CHECKS, Bench

pytestmark = pytest.mark.sandbox


@pytest.mark.parametrize("name", CHECKS)
def test_the_local_backend_behaves_as_every_backend_must(bench: Bench, name: str) -> None:
    CHECKS[name](bench)
