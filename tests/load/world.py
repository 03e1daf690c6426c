"""Where a load runs: a whole installation, or the servers of one alone. Django is set up for it in this process."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import django

from tests import prepared
from tests.live import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def whole() -> Iterator[Installation]:
    """An installation with one worker; what follows runs in its settings, beside its processes."""
    with Installation.started(True, WORKERS="1") as installation:
        _settle(installation.environment)
        yield installation


@contextlib.contextmanager
def servers() -> Iterator[Path]:
    """Database and broker of a new installation, by its data directory: nobody sweeps, and nobody works."""
    directory = Path(tempfile.mkdtemp(prefix="hf-load-", dir="/tmp"))
    directory.chmod(0o711)
    os.environ["DATA_DIR"] = str(directory)
    try:
        with prepared.servers():
            _settle({})
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _settle(environment: dict[str, str]) -> None:
    os.environ.update(environment, DJANGO_SETTINGS_MODULE="config.settings")
    django.setup()
