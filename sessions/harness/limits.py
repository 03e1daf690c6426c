"""The numbers that bound a turn and a session, and when a failed request is tried again. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from decimal import Decimal

    from sessions.harness.state import Failure
    from sessions.projections.columns import Spent

KINDS = ("steps", "model_requests", "tokens", "list_cost", "running_seconds")
DAILY = ("list_cost_per_day", "tokens_per_day")  # of all sessions of a workspace together
MONEY = frozenset({"list_cost", "list_cost_per_day"})
DRIFT_SECONDS = 5.0
NAMES = {
    "steps": "steps",
    "model_requests": "model requests",
    "tokens": "tokens",
    "running_seconds": "seconds of running time",
    "tokens_per_day": "tokens a day",
}


def dollars(cents: int) -> str:
    """An amount as people write it."""
    return f"${cents / 100:,.2f}"


@dataclass(frozen=True, slots=True)
class Used:
    """What a session or thread has used of each kind of cap. ``cost_known``: ``list_cost`` holds all of it."""

    steps: int
    model_requests: int
    tokens: int
    list_cost: Decimal  # cents
    running_seconds: float
    cost_known: bool = True

    @classmethod
    def of(cls, spent: Spent, cost: Decimal, running_seconds: float) -> Used:
        """Of a session's or thread's spending; ``cost`` is in dollars."""
        used = spent.usage
        return cls(used.steps, used.model_requests, used.tokens, cost * 100, running_seconds, spent.cost_known)


@dataclass(frozen=True, slots=True)
class Reached:
    """A cap that is used up, and the level that set it: where a person can raise it.

    ``agent_id``: whose cap it is, where it is that of a child thread's own agent and not of the session's.
    """

    cap: str
    level: str
    limit: int
    used: int
    cost_known: bool = True
    agent_id: str = ""

    def note(self) -> dict[str, Any]:
        """What goes with the stop reason, under our own key."""
        note = {"cap": self.cap, "level": self.level, "limit": self.limit, "used": self.used}
        return {**note, "agent_id": self.agent_id} if self.agent_id else note

    def sentence(self) -> str:
        """What happened and the way out."""
        if self.cap in MONEY and not self.cost_known:
            return (
                f"The {self.level} limits this session's money, but a model that it used has no known price. "
                f"Lift the limit of the {self.level} to go on."
            )
        way_out = "Raise or lift it to go on" + (", or wait for the next day." if self.cap in DAILY else ".")
        used = dollars(self.used) if self.cap in MONEY else f"{self.used:,}"
        return f"The {self.level}'s limit of {self._bound()} is used up ({used}). {way_out}"

    def _bound(self) -> str:
        if self.cap not in MONEY:
            return f"{self.limit:,} {NAMES[self.cap]}"
        return dollars(self.limit) + (" a day" if self.cap in DAILY else "")


@dataclass(frozen=True, slots=True)
class Caps:
    """The caps that apply to one session, level by level (``contract.limits.Limits`` as it is stored).

    The tightest of each kind wins. ``today``: what the workspace has used since midnight, by the kinds of ``DAILY``.
    ``agent_id``: whose they are, where they bound one thread by itself.
    """

    levels: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    today: Mapping[str, Decimal | int] = field(default_factory=dict)
    agent_id: str = ""

    def tightest(self, kind: str) -> tuple[str, int] | None:
        """The lowest cap of a kind and the level that set it."""
        found = [(_number(caps[kind]), level) for level, caps in self.levels if caps.get(kind) is not None]
        return min(found)[::-1] if found else None

    def reached(self, used: Used) -> Reached | None:
        """The first cap that leaves no room for another model request."""
        return next(self.all_reached(used), None)

    def all_reached(self, used: Used) -> Iterator[Reached]:
        """The caps that leave no room for another model request, of each kind the tightest level's."""
        for kind in (*KINDS, *DAILY):
            cap = self.tightest(kind)
            amount = self.amount(kind, used)
            known = used.cost_known or kind not in MONEY
            if cap is not None and (amount >= cap[1] or not known):
                yield Reached(kind, cap[0], cap[1], int(amount), known, self.agent_id)

    def amount(self, kind: str, used: Used) -> float | Decimal:
        """How much of a kind is used: by the session or thread, or by its workspace today."""
        return self.today.get(kind, 0) if kind in DAILY else getattr(used, kind)

    @property
    def approval_seconds(self) -> int | None:
        """How long a call waits for a person before it is refused; None: for as long as it takes."""
        cap = self.tightest("approval_seconds")
        return None if cap is None else cap[1]


def _number(cap: Any) -> int:
    return int(cap["amount"]) if isinstance(cap, dict) else int(cap)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one turn, the pace of retries (seconds), when a conversation is too long, and the caps.

    ``caps`` bound the whole session, ``own`` a child thread by itself (its agent's own limits).
    """

    tool_rounds: int = 1000
    model_attempts: int = 6
    retry_base: float = 1.0
    retry_ceiling: float = 60.0
    compact_at: int = 160_000  # tokens of a prompt beyond which the conversation is summarised
    clear_at: int = 100_000  # tokens beyond which old tool results leave the prompt
    clear_from: int = 20  # results that must have come since the last time: the prompt's cache breaks once for all
    compactions: int = 3  # in a row, without a reply between
    takeovers: int = 20  # in a row, without anything done between: more than a storm of kills brings about
    fallbacks: tuple[str, ...] = ()  # models asked in this order once the agent's own has failed for good
    caps: Caps = Caps()
    own: Caps = Caps()

    def sentence(self) -> str:
        return f"The turn reached its limit of {self.tool_rounds} tool rounds. Send a message to go on."


def longest_pause(retry_ceiling: float) -> float:
    """Seconds beyond which no retry is put off; one that lies further away was set before the clock was set back.

    Clocks of machines may differ by ``DRIFT_SECONDS``.
    """
    return retry_ceiling + DRIFT_SECONDS


def retry_at(failure: Failure, limits: Limits, key: str) -> datetime:
    """When to try again: exponential back-off with jitter, at least what the provider asked for,
    never above the ceiling. The jitter is drawn from ``key`` and the attempt, so a replay agrees.
    """
    backoff = min(limits.retry_ceiling, limits.retry_base * 2 ** (failure.attempt - 1))
    digest = hashlib.sha256(f"{key}:{failure.attempt}".encode()).digest()
    jitter = 0.5 + int.from_bytes(digest[:4]) / 2**33
    wished = min(failure.retry_after or 0.0, limits.retry_ceiling)
    return failure.at + timedelta(seconds=max(backoff * jitter, wished))
