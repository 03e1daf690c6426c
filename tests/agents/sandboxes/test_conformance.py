from __future__ import annotations

import pytest

from agents.sandboxes.conformance import CHECKS, Bench
from tests.agents.sandboxes.hosts import KINDS

pytestmark = [pytest.mark.sandbox, pytest.mark.parametrize("host", KINDS, indirect=True, scope="session")]


@pytest.mark.parametrize("name", CHECKS)
def test_a_backend_behaves_as_every_backend_must(bench: Bench, name: str) -> None:
    CHECKS[name](bench)
