"""Whether the embedded database already has this code's tables and first rows: a digest kept inside its cluster."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import TYPE_CHECKING

from config.env import ROOT, Holdfast

if TYPE_CHECKING:
    from pathlib import Path

APPS = ("agents", "credentials", "sessions")


def _path(holdfast: Holdfast) -> Path:
    return holdfast.data_dir / "pg" / "holdfast.migrated"


def digest(holdfast: Holdfast) -> str:
    seen = hashlib.sha256(f"{version('django')} {holdfast.model_default}".encode())
    for app in APPS:
        for file in sorted((ROOT / app / "migrations").glob("*.py")):
            seen.update(f"{app}/{file.name}".encode())
            seen.update(file.read_bytes())
    return seen.hexdigest()


def current(holdfast: Holdfast) -> bool:
    """True when migrating and seeding would change nothing."""
    if not holdfast.embedded_database or not (holdfast.data_dir / "dev.json").exists():
        return False
    path = _path(holdfast)
    return path.exists() and path.read_text(encoding="utf-8") == digest(holdfast)


def write(holdfast: Holdfast) -> None:
    if holdfast.embedded_database:
        _path(holdfast).write_text(digest(holdfast), encoding="utf-8")
