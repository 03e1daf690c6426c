"""How a turn that waits can still be stopped: one scope per thread, asked wherever we wait.

A ``Stopped`` is a ``BaseException`` on purpose: it has to pass through the SDK and its HTTP
client, which turn every ``Exception`` into a connection error.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, cast

from agents.providers.base import ProviderError, ShouldStop, TurnInterrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.providers.base import Waking

SLICE = 0.2
"""Longest uninterrupted wait, in seconds (the contract asks for four checks a second)."""

Reason = Literal["interrupted", "too_long", "too_large"]


class Stopped(BaseException):
    """The scope wants out; ``cause`` is set when ``should_stop`` itself failed."""

    def __init__(self, reason: Reason, cause: Exception | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cause = cause


class Scope:
    """What one turn may still take: its stop question, its seconds, its bytes."""

    def __init__(self, should_stop: ShouldStop, seconds: float, max_bytes: int) -> None:
        self._should_stop = should_stop
        # The attribute is what tells it from others: to look for the whole protocol takes longer than a poll.
        self.waking = cast("Waking", should_stop) if hasattr(should_stop, "silence") else None
        self._deadline = time.monotonic() + seconds
        self._bytes_left = max_bytes

    def check(self) -> None:
        """Raise ``Stopped`` when the turn must end now."""
        try:
            stop = self._should_stop()
        except Exception as error:
            raise Stopped("interrupted", error) from error
        if stop:
            raise Stopped("interrupted")
        if time.monotonic() > self._deadline:
            raise Stopped("too_long")

    def count(self, size: int) -> None:
        """Take ``size`` bytes off the budget; raise ``Stopped`` when it is used up."""
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise Stopped("too_large")


class _Current(threading.local):
    scope: Scope | None = None


_current = _Current()


def current() -> Scope | None:
    """The scope of the turn this thread is running, if any."""
    return _current.scope


@contextmanager
def scope(should_stop: ShouldStop, *, seconds: float, max_bytes: int) -> Iterator[Scope]:
    """Run a turn under a scope; what stopped it comes out as the provider's own exceptions."""
    outer, _current.scope = _current.scope, Scope(should_stop, seconds, max_bytes)
    try:
        yield _current.scope
    except Stopped as stopped:
        raise _translated(stopped) from stopped.cause
    finally:
        _current.scope = outer


def poll() -> None:
    """Ask the current scope, if there is one."""
    if _current.scope is not None:
        _current.scope.check()


def pause(seconds: float) -> None:
    """Sleep, but wake up to ask at least every ``SLICE`` seconds."""
    deadline = time.monotonic() + seconds
    while True:
        poll()
        left = deadline - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(SLICE, left))


def _translated(stopped: Stopped) -> Exception:
    if stopped.cause is not None:
        return stopped.cause
    if stopped.reason == "interrupted":
        return TurnInterrupted()
    if stopped.reason == "too_long":
        return ProviderError("request_failed", "The model's turn took longer than allowed.", retryable=True)
    return ProviderError("request_failed", "The model's reply was larger than allowed.", retryable=False)
