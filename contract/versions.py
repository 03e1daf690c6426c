"""Version numbers as clients send them."""

from __future__ import annotations

from contract.errors import InvalidRequest

LAST = 2**31 - 1


def check(where: str, version: int | None) -> None:
    """Raise ``InvalidRequest`` that names ``where`` for a number that no version can have."""
    if version is not None and not 1 <= version <= LAST:
        raise InvalidRequest(f"{where}: must be from 1 to {LAST}")
