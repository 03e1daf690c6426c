"""Rows that every test of a module sees: made once, in a transaction around the module; each test has a savepoint.

For tables of cases over one world. A test may change what it likes: its own savepoint is rolled back. It may use
neither `transaction=True` nor a second connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import transaction
from django.test import override_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def lasting(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The transaction around a module; its value is the directory for its blobs. For a module's own fixtures."""
    directory = tmp_path_factory.mktemp("blobs")
    blobs = override_settings(HOLDFAST_BLOB_DIR=directory)
    with django_db_blocker.unblock(), blobs, transaction.atomic():
        yield directory
        transaction.set_rollback(True)
