"""One installation for this folder, with short waits for retries of model requests and for lost workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.live import Installation
from tests.sdk.talk import Talk, client_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import anthropic


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/sdk/" in item.path.as_posix():
            item.add_marker(pytest.mark.live)
            item.add_marker(pytest.mark.sandbox)


@pytest.fixture(scope="package")
def installation() -> Iterator[Installation]:
    waits = {"RETRY_BASE_SECONDS": "0.05", "RETRY_CEILING_SECONDS": "0.2", "WORK_LEASE_SECONDS": "5"}
    with Installation.started(ALLOW_NETWORKS="127.0.0.1", **waits) as running:
        yield running


@pytest.fixture(scope="package")
def client(installation: Installation) -> anthropic.Anthropic:
    return client_of(installation)


@pytest.fixture
def begin(client: anthropic.Anthropic) -> Callable[..., Talk]:
    """Start a session of the demo agent: ``begin(tools=[...], resources=[...])``."""

    def start(**options: Any) -> Talk:
        return Talk.begin(client, **options)

    return start
