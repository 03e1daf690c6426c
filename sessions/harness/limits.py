"""The numbers that bound a turn, and when a failed request is tried again. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sessions.harness.state import Failure


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps of one turn, the pace of retries (seconds), and when a conversation is too long."""

    tool_rounds: int = 1000
    model_attempts: int = 6
    retry_base: float = 1.0
    retry_ceiling: float = 60.0
    compact_at: int = 160_000  # tokens of a prompt beyond which the conversation is summarised
    compactions: int = 3  # in a row, without a reply between

    def sentence(self) -> str:
        return f"The turn reached its limit of {self.tool_rounds} tool rounds. Send a message to go on."


def retry_at(failure: Failure, limits: Limits, key: str) -> datetime:
    """When to try again: exponential back-off with jitter, at least what the provider asked for,
    never above the ceiling. The jitter is drawn from ``key`` and the attempt, so a replay agrees.
    """
    backoff = min(limits.retry_ceiling, limits.retry_base * 2 ** (failure.attempt - 1))
    digest = hashlib.sha256(f"{key}:{failure.attempt}".encode()).digest()
    jitter = 0.5 + int.from_bytes(digest[:4]) / 2**33
    wished = min(failure.retry_after or 0.0, limits.retry_ceiling)
    return failure.at + timedelta(seconds=max(backoff * jitter, wished))
