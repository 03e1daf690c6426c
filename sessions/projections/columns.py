"""What the projected columns of a session and a thread must hold after each event.

Pure: ``sessions.log`` folds the events it appends over the stored columns, ``manage.py verify``
folds the whole log over empty ones, and both must agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from decimal import Decimal
from operator import add, attrgetter
from typing import TYPE_CHECKING, Any

from agents.pricing import cents, running_price
from sessions import events as ev
from sessions.events import Draft
from sessions.projections import evaluations

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and requests so far; the JSON of the ``usage`` columns has these keys."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_5m: int = 0
    cache_creation_1h: int = 0
    web_search_requests: int = 0
    web_fetch_requests: int = 0
    model_requests: int = 0
    steps: int = 0  # replies with tool calls

    @property
    def tokens(self) -> int:
        """Tokens of every kind together."""
        read = self.input_tokens + self.cache_read_input_tokens
        return read + self.cache_creation_5m + self.cache_creation_1h + self.output_tokens

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> Usage:
        """Read a ``usage`` column; keys it does not know are left out."""
        return cls(*[int(stored.get(name, 0)) for name in COUNTS])

    def plus(self, other: Usage) -> Usage:
        return Usage(*map(add, counts_of(self), counts_of(other)))

    def dump(self) -> dict[str, int]:
        return dict(zip(COUNTS, counts_of(self), strict=True))


COUNTS = tuple(count.name for count in fields(Usage))
counts_of = attrgetter(*COUNTS)  # found out once: every entry that used something is added up three times


@dataclass(frozen=True, slots=True)
class Clock:
    """Status, and the time spent in it. ``running_since`` is set exactly while running, ``ended_at`` once it rests."""

    status: str = "idle"
    stop_reason: dict[str, Any] | None = None
    active_seconds: float = 0.0
    running_since: datetime | None = None
    ended_at: datetime | None = None

    def enter(self, status: str, now: datetime, stop_reason: dict[str, Any] | None = None) -> Clock:
        """The clock after a status event at ``now``; time out of ``running`` isn't counted."""
        active = self.active_at(now)
        return Clock(
            status=status,
            stop_reason=stop_reason,
            active_seconds=active,
            running_since=now if status == "running" else None,
            ended_at=now if status in ("idle", "terminated") else None,
        )

    def without(self, since: str | None, now: datetime) -> Clock:
        """The clock without the time from ``since`` (ISO 8601) to ``now``, in which nobody worked. None, and what was
        left out already, change nothing.
        """
        left = datetime.fromisoformat(since) if since else now
        if self.running_since is None or not self.running_since <= left < now:
            return self
        return replace(self, active_seconds=self.active_at(left), running_since=now)

    def active_at(self, now: datetime) -> float:
        """Seconds spent running up to ``now``."""
        if self.running_since is None:
            return self.active_seconds
        return self.active_seconds + max(0.0, (now - self.running_since).total_seconds())


@dataclass(frozen=True, slots=True)
class Spent:
    """What model requests used and cost. ``cost`` is exact US dollars of those that have a price."""

    usage: Usage = field(default_factory=Usage)
    cost: Decimal = Decimal(0)
    cost_known: bool = True

    def after(self, private: Mapping[str, Any] | None) -> Spent:
        """Add an event whose ``private`` carries usage and cost."""
        if not private or "usage" not in private:
            return self
        cost = private.get("cost")
        return Spent(
            usage=self.usage.plus(Usage.load(private["usage"])),
            cost=self.cost + (Decimal(cost) if cost is not None else 0),
            cost_known=self.cost_known and cost is not None,
        )

    def wire(self, active_seconds: float, running_cost: Decimal = Decimal(0)) -> dict[str, Any]:
        """The ``usage`` object of spec core 8.8; ``list_cost`` is null when a price is unknown."""
        used = self.usage
        return {
            "input_tokens": used.input_tokens,
            "output_tokens": used.output_tokens,
            "cache_read_input_tokens": used.cache_read_input_tokens,
            "cache_creation": {
                "ephemeral_5m_input_tokens": used.cache_creation_5m,
                "ephemeral_1h_input_tokens": used.cache_creation_1h,
            },
            "server_tool_use": {
                "web_search_requests": used.web_search_requests,
                "web_fetch_requests": used.web_fetch_requests,
            },
            "active_seconds": round(active_seconds, 3),
            "list_cost": {"amount": cents(self.cost + running_cost), "currency": "USD"} if self.cost_known else None,
        }


def budget_dollars(budget: Mapping[str, Any] | None) -> Decimal | None:
    """The limit of a wire ``budget``, whose amount is in cents, in dollars; None without a budget."""
    return None if budget is None else Decimal(budget["max_list_cost"]["amount"]) / 100


THREAD_STATUS = {
    ev.THREAD_RUNNING: "running",
    ev.THREAD_IDLE: "idle",
    ev.THREAD_RESCHEDULED: "rescheduling",
    ev.THREAD_TERMINATED: "terminated",
}
SESSION_STATUS = {
    ev.STATUS_RUNNING: "running",
    ev.STATUS_IDLE: "idle",
    ev.STATUS_RESCHEDULED: "rescheduling",
    ev.STATUS_TERMINATED: "terminated",
}
PENDING_KIND = {ev.TOOL_USE: "confirmation", ev.MCP_TOOL_USE: "confirmation", ev.CUSTOM_TOOL_USE: "custom"}
ANSWER_FIELD = {ev.USER_TOOL_CONFIRMATION: "tool_use_id", **ev.CALL_ID_FIELD}


@dataclass(frozen=True, slots=True)
class ThreadColumns:
    """The projected columns of a thread. ``pending``: calls that wait for an answer, in order."""

    clock: Clock = field(default_factory=Clock)
    spent: Spent = field(default_factory=Spent)
    startup_seconds: float | None = None
    wake_at: datetime | None = None
    pending: tuple[dict[str, str], ...] = ()

    def after(self, event_id: str, draft: Draft, now: datetime, created_at: datetime) -> ThreadColumns:
        """The columns once ``draft`` is on the log as ``event_id`` at ``now``."""
        if status := THREAD_STATUS.get(draft.type):
            wake_at = (draft.private or {}).get("wake_at")
            return replace(
                self,
                clock=self.clock.enter(status, now, draft.payload.get("stop_reason")),
                startup_seconds=self._startup(status, now, created_at),
                wake_at=datetime.fromisoformat(wake_at) if wake_at else None,
                pending=() if status == "terminated" else self.pending,
            )
        if draft.type == ev.OPS_UNATTENDED:
            return replace(self, clock=self.clock.without(draft.payload.get("since"), now))
        spent = self.spent.after(draft.private) if draft.type in ev.SPENDING else self.spent
        pending = self._pending(event_id, draft)
        if spent is self.spent and pending == self.pending:
            return self  # as for most of a step's entries
        return replace(self, spent=spent, pending=pending)

    def _pending(self, event_id: str, draft: Draft) -> tuple[dict[str, str], ...]:
        if kind := PENDING_KIND.get(draft.type):
            if waits := _wait(kind, draft):
                return (*self.pending, {"id": event_id, **waits})
        elif answer := ANSWER_FIELD.get(draft.type):
            call_id = draft.payload[answer]
            return tuple(left for call in self.pending if (left := _left(call, draft, call_id)))
        return self.pending

    def _startup(self, status: str, now: datetime, created_at: datetime) -> float | None:
        if self.startup_seconds is None and status == "running":
            return max(0.0, (now - created_at).total_seconds())
        return self.startup_seconds


def _wait(kind: str, draft: Draft) -> dict[str, str] | None:
    """What a call waits for. One that an outside worker carries out waits for a person first if it has to."""
    asks = kind == "confirmation" and draft.payload.get("evaluated_permission") == "ask"
    outside = bool((draft.private or {}).get("outside"))
    if outside and draft.payload.get("evaluated_permission") == "allow":
        return {"kind": "result"}
    if kind == "custom" or asks:
        return {"kind": kind, "then": "result"} if outside else {"kind": kind}
    return None


def _left(call: dict[str, str], draft: Draft, call_id: str) -> dict[str, str] | None:
    """A waiting call after an answer; None if it was the one answered. An allowed one may wait for its worker yet."""
    if call["id"] != call_id:
        return call
    if draft.type == ev.USER_TOOL_CONFIRMATION and draft.payload["result"] == "allow" and "then" in call:
        return {"id": call_id, "kind": call["then"]}
    return None


@dataclass(frozen=True, slots=True)
class SessionColumns:
    """The projected columns of a session, besides ``last_seq`` and ``pending_count``.

    ``hour_price`` (dollars an hour of running time) is the session's from its start, and never changes.
    """

    clock: Clock = field(default_factory=Clock)
    spent: Spent = field(default_factory=Spent)
    snapshot: str = ""
    outcomes: tuple[dict[str, Any], ...] = ()  # the wire ``outcome_evaluations``
    budget: dict[str, Any] | None = None
    hour_price: Decimal = Decimal(0)
    paused: str = ""  # who holds the session, "" for nobody

    def running_cost(self, now: datetime) -> Decimal:
        """Dollars for the running time up to ``now``."""
        return (
            running_price(Decimal(str(self.clock.active_at(now))), self.hour_price) if self.hour_price else Decimal(0)
        )

    def cost(self, now: datetime) -> Decimal:
        """The consumed list cost in dollars, as far as it is known (spec core 8.7)."""
        return self.spent.cost + self.running_cost(now)

    def over_budget(self, now: datetime) -> bool:
        """True once the consumed list cost has reached the session's limit; a cost that isn't known can't be
        limited, so it has, too.
        """
        limit = budget_dollars(self.budget)
        return limit is not None and (not self.spent.cost_known or self.cost(now) >= limit)

    def usage(self, now: datetime) -> dict[str, Any]:
        """The session's ``usage`` object (spec core 8.8)."""
        return self.spent.wire(self.clock.active_at(now), self.running_cost(now))

    def after(self, draft: Draft, now: datetime) -> SessionColumns:
        """The columns once ``draft`` is on the log at ``now``."""
        if status := SESSION_STATUS.get(draft.type):
            clock = self.clock.enter(status, now, draft.payload.get("stop_reason"))
            return replace(self, clock=clock, outcomes=evaluations.after(self.outcomes, draft, now, status))
        if draft.type in evaluations.TYPES:
            listed = evaluations.after(self.outcomes, draft, now, self.clock.status)
            return replace(self, spent=self.spent.after(draft.private), outcomes=listed)
        if draft.type in ev.SPENDING:
            spent = self.spent.after(draft.private)
            return self if spent is self.spent else replace(self, spent=spent)
        if draft.type == ev.OPS_UNATTENDED:
            return replace(self, clock=self.clock.without(draft.payload.get("session_since"), now))
        if draft.type == ev.OPS_SNAPSHOT:
            return replace(self, snapshot=str(draft.payload["digest"]))
        if draft.type in (ev.OPS_PAUSED, ev.OPS_RESUMED):
            return replace(self, paused=draft.payload["by"] if draft.type == ev.OPS_PAUSED else "")
        if draft.type == ev.SESSION_UPDATED and "budget" in draft.payload:
            return replace(self, budget=draft.payload["budget"])
        return self


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another thread of the session, as far as the session's own status depends on it."""

    status: str
    pending: tuple[str, ...]
    stop_reason: dict[str, Any] | None = None


def with_session_status(
    draft: Draft, session: SessionColumns, own_pending: Iterable[str], others: Iterable[Sibling], now: datetime
) -> list[Draft]:
    """Add the session's own status events to a thread's (spec core 8.4, 11.7).

    The session runs while any thread runs; ``session.usage`` comes right before every
    ``session.status_idle`` (its payload is filled when it is appended); ``requires_action`` of
    any thread outranks pauses that a person must end, which outrank the reason of the thread that stopped last.
    """
    others = list(others)
    if draft.type == ev.THREAD_RUNNING:
        return [draft] if session.clock.status == "running" else [Draft(ev.STATUS_RUNNING), draft]
    if draft.type == ev.THREAD_TERMINATED:
        alive = any(other.status != "terminated" for other in others)
        return [draft] if alive else [draft, Draft(ev.STATUS_TERMINATED)]
    if any(other.status == "running" for other in others):
        return [draft]
    if draft.type == ev.THREAD_RESCHEDULED:
        return [draft, Draft(ev.STATUS_RESCHEDULED)]
    if draft.type == ev.THREAD_IDLE:
        if any(other.status == "rescheduling" for other in others):
            return [draft]
        waiting = [*own_pending, *(call for other in others for call in other.pending)]
        idle = Draft(ev.STATUS_IDLE, _session_stop(draft, session, waiting, others, now))
        return [draft, Draft(ev.SESSION_USAGE), idle]
    return [draft]


def _outranks(stop_reason: Mapping[str, Any] | None) -> bool:
    capped = (stop_reason or {}).get("type") == "budget_reached"
    return capped or ev.is_paused(stop_reason) or ev.only_talks(stop_reason)


def _session_stop(
    draft: Draft, session: SessionColumns, waiting: list[str], others: Iterable[Sibling], now: datetime
) -> dict[str, Any]:
    if waiting:
        return {"stop_reason": ev.requires_action(waiting), "stop_details": None}
    if session.over_budget(now):
        return {"stop_reason": ev.BUDGET_REACHED, "stop_details": None}
    for other in others:
        if other.status == "idle" and _outranks(other.stop_reason):
            return {"stop_reason": other.stop_reason, "stop_details": None}
    return {"stop_reason": draft.payload["stop_reason"], "stop_details": draft.payload.get("stop_details")}
