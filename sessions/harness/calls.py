"""Calls of a turn, carried out side by side in the threads of the process that are there for it."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from django.conf import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.sandboxes.base import CallResult
    from sessions.harness.state import Call


@cache
def _pool() -> ThreadPoolExecutor:
    """Where the calls of all turns of this process wait for their sandboxes."""
    workers = int(settings.HOLDFAST_WORKER_THREADS) * 2
    return ThreadPoolExecutor(max_workers=workers, thread_name_prefix="tool")


class Calls:
    """Those under way; true while there are any. One thread's own."""

    def __init__(self) -> None:
        self._running: dict[Future[CallResult], Call] = {}
        self._over: SimpleQueue[Future[CallResult]] = SimpleQueue()

    def __bool__(self) -> bool:
        return bool(self._running)

    def start(self, call: Call, carry_out: Callable[..., CallResult], **how: Any) -> None:
        future = _pool().submit(carry_out, call, **how)
        self._running[future] = call
        future.add_done_callback(self._over.put)

    def over(self, seconds: float) -> tuple[Call, Future[CallResult]] | None:
        """The next that is over, with what came of it; None if that takes longer."""
        try:
            future = self._over.get(timeout=seconds)
        except Empty:
            return None
        return self._running.pop(future), future
