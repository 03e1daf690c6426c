"""Coroutines that are done side by side."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


async def until(when: str, *works: Coroutine[Any, Any, None]) -> None:
    """Do all of it until ``when`` (``asyncio.FIRST_COMPLETED`` or ``FIRST_EXCEPTION``), then end what is left.

    Raises what the first of them raised.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=when)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
