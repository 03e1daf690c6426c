"""A stored blob is on the disk under its name before anything names it."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from contract import blobs

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_blob_its_folder_and_the_folder_of_folders_are_kept_in_this_order(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HOLDFAST_BLOB_DIR = tmp_path / "blobs"
    kept: list[int] = []
    real = os.fsync

    def noting(descriptor: int) -> None:
        kept.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    digest, size = blobs.put(io.BytesIO(b"kept"), limit=10)
    file = blobs.path(digest)
    assert (size, file.read_bytes()) == (4, b"kept")
    assert kept == [path.stat().st_ino for path in (file, file.parent, file.parent.parent)]
