"""Metadata of any object (spec core 2.3): at most 16 pairs, keys to 64, values to 512 characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PAIRS = 16
MAX_KEY = 64
MAX_VALUE = 512


def check(metadata: Mapping[str, str]) -> dict[str, str]:
    """The same pairs, or ``InvalidRequest`` with the code ``invalid_metadata``."""
    if len(metadata) > MAX_PAIRS:
        _refuse(f"metadata: has {len(metadata)} pairs; at most {MAX_PAIRS} are allowed")
    for key, value in metadata.items():
        if not 1 <= len(key) <= MAX_KEY:
            _refuse(f"metadata: the key {key[:MAX_KEY]!r} must be 1 to {MAX_KEY} characters long")
        if len(value) > MAX_VALUE:
            _refuse(f"metadata.{key}: must be at most {MAX_VALUE} characters long")
    return dict(metadata)


def merge(
    stored: Mapping[str, str], patch: Mapping[str, str | None] | None, *, empty_deletes: bool = False
) -> dict[str, str]:
    """``stored`` with ``patch`` laid over it key by key; null (and "" if ``empty_deletes``) deletes."""
    merged = dict(stored)
    for key, value in (patch or {}).items():
        if value is None or (empty_deletes and not value):
            merged.pop(key, None)
        else:
            merged[key] = value
    return check(merged)


def _refuse(message: str) -> None:
    raise InvalidRequest(message, error_code="invalid_metadata")
