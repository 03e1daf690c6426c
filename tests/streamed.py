"""Answers that come in pieces, read to their end."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync


def whole(response: Any) -> bytes:
    """What a download holds."""
    return async_to_sync(_gathered)(response)


async def _gathered(response: Any) -> bytes:
    return b"".join([chunk async for chunk in response])
