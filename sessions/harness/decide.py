"""What to do next: ``decide(state, spec, now)``. Pure, total, and the whole grammar of the loop."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from contract.schema import OURS
from sessions import events as ev
from sessions.harness.limits import Limits, Reached, Used, longest_pause, retry_at
from sessions.projections.faults import of_provider, session_error

if TYPE_CHECKING:
    from datetime import datetime

    from sessions.harness.state import Call, Failure, ThreadState
    from sessions.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class CloseRequest:
    """End the span of a model request whose worker died; the turn is simply asked again."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Apply interrupts: close the open calls, end the turn, start the next with ``messages``."""

    interrupts: tuple[str, ...]
    calls: tuple[Call, ...]
    messages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CallModel:
    """Ask the model for the next reply. ``resume``: the thread was waiting for a retry."""

    resume: bool = False


@dataclass(frozen=True, slots=True)
class Remind:
    """Tell the model that it goes round in circles."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class ClearResults:
    """Take the results of old calls out of the prompt; ``count``: how many had come since the last time."""

    count: int


@dataclass(frozen=True, slots=True)
class Compact:
    """Replace the conversation by a summary of it in the prompt; the log stays whole. ``resume``: as ``CallModel``."""

    resume: bool = False


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run a call that may run. Calls of one reply run in parallel."""

    call: Call


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer a call that must not run with an error result."""

    call: Call


@dataclass(frozen=True, slots=True)
class TakeMessages:
    """Take queued messages in without going idle: other agents' before the next request, people's after the turn."""

    messages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grade:
    """Evaluate the outcome that the thread works for."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Retry:
    """Tell of a failed request and wait until ``at`` before the next; ``of``: attempts in all."""

    failure: Failure
    at: datetime
    of: int


@dataclass(frozen=True, slots=True)
class FallBack:
    """Go on with another model, for this one has failed for good."""

    failure: Failure
    model: str


@dataclass(frozen=True, slots=True)
class Park:
    """Close what is open and rest with this reason, for going on does harm."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before ``until``."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Finish:
    """Go idle with ``stop_reason``. ``error`` is told first; ``dropped`` queued messages with it.

    ``cap``: what stopped the thread, told on an event of its own.
    """

    stop_reason: dict[str, Any]
    stop_details: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    dropped: tuple[str, ...] = field(default=())
    cap: Reached | None = None


Action = (
    CloseRequest
    | Interrupt
    | CallModel
    | Remind
    | ClearResults
    | Compact
    | RunTool
    | Refuse
    | TakeMessages
    | Grade
    | Retry
    | FallBack
    | Park
    | Wait
    | Finish
)

PARKED = (
    "{} workers in a row died while they worked on this session, and nothing got done between. It rests now, so that "
    "it takes no more with it. Look at the server's log, then try again or send a message."
)
ONLY_TALKS = (
    "This agent and {} only write to each other, also after they were reminded of it, so it was paused. Let it try "
    "again, or send a message that says what is to be done."
)


def decide(state: ThreadState, limits: Limits, now: datetime) -> list[Action]:
    """The actions that are due, in order; several only if they may be performed side by side.

    An empty list means that the thread rests: it is idle, and the inbox starts its next turn.
    """
    if state.status in ("idle", "terminated"):
        return []
    if state.takeovers >= limits.takeovers:
        return [Park(PARKED.format(state.takeovers))]
    if state.open_request is not None:
        return [CloseRequest(state.open_request)]
    if state.interrupts:
        calls = tuple(state.calls.values())
        return [Interrupt(tuple(state.interrupts), calls, tuple(state.queue))]
    if state.session.paused:
        return [Finish(ev.paused(state.session.paused))]
    if state.status == "rescheduling":
        longest = timedelta(seconds=longest_pause(limits.retry_ceiling))
        if state.wake_at is not None and now < state.wake_at <= now + longest:
            return [Wait(state.wake_at)]
        again = Compact(resume=True) if state.compacting else CallModel(resume=True)
        return [_stopped(state, limits, now) or again]
    if state.calls:
        return _calls(state)
    if not state.asked:
        return _end_of_turn(state, limits, now)
    if state.failure is not None:
        return _failed(state, state.failure, limits, now)
    return [_next_request(state, limits, now)]


def _next_request(state: ThreadState, limits: Limits, now: datetime) -> Action:
    """Ask the model, unless something says to stop, to warn it or to make room first."""
    if state.rounds >= limits.tool_rounds:
        return _give_up(state, "tool_use_limit_reached_error", limits.sentence())
    if stopped := _stopped(state, limits, now):
        return stopped
    if state.only_talks_with and not state.queue:
        return _only_talks(state.only_talks_with)
    if stuck := state.watch.verdict():
        if stuck.reminded:
            return _give_up(state, "tool_use_limit_reached_error", stuck.reason, {"loop": stuck.kind})
        return Remind(stuck.kind, stuck.reminder)
    if state.context_tokens >= limits.clear_at and state.results >= limits.clear_from:
        return ClearResults(state.results)
    if state.context_tokens >= limits.compact_at:
        return _make_room(state, limits)
    return TakeMessages(tuple(state.mail)) if state.mail else CallModel()


def _stopped(state: ThreadState, limits: Limits, now: datetime) -> Finish | None:
    """The pause before the next request if the budget or a cap is used up (spec core 8.7)."""
    session = state.session
    if session.over_budget(now):
        return Finish(ev.BUDGET_REACHED)
    whole = Used.of(session.spent, session.cost(now), session.clock.active_at(now))
    own = Used.of(state.spent, state.spent.cost, state.clock.active_at(now))
    cap = limits.caps.reached(whole) or limits.own.reached(own)
    return None if cap is None else Finish({**ev.BUDGET_REACHED, OURS: cap.note()}, cap=cap)


def _calls(state: ThreadState) -> list[Action]:
    ready: list[Action] = []
    waiting: list[str] = []
    for call in state.calls.values():
        if call.verdict == "ask" or (call.outside and call.verdict == "allow"):
            waiting.append(call.id)
        else:
            ready.append(RunTool(call) if call.verdict == "allow" else Refuse(call))
    return ready or [Finish(ev.requires_action(waiting))]


def _end_of_turn(state: ThreadState, limits: Limits, now: datetime) -> list[Action]:
    if state.queue or state.mail:
        return [TakeMessages((*state.queue, *state.mail))]
    if state.stop_reason == "refusal":
        return [Finish({"type": "refusal"}, stop_details=state.stop_details)]
    if state.outcome is not None and not state.others_work:
        return [_stopped(state, limits, now) or Grade(state.outcome)]
    return [Finish(ev.END_TURN)]


def _make_room(state: ThreadState, limits: Limits) -> Action:
    if state.compactions < limits.compactions:
        return Compact()
    text = f"The conversation is too long for the model, also after {limits.compactions} summaries in a row were tried."
    return _give_up(state, "compaction_limit_reached_error", text)


def _failed(state: ThreadState, failure: Failure, limits: Limits, now: datetime) -> list[Action]:
    if failure.kind == "context_exceeded":
        return [_make_room(state, limits)]
    if failure.retryable and failure.attempt < limits.model_attempts:
        failed = replace(failure, at=min(failure.at, now))  # a log's time is never set back, as a clock may be
        return [Retry(failure, retry_at(failed, limits, state.thread_id), limits.model_attempts)]
    if state.fallback < len(limits.fallbacks):
        return [FallBack(failure, limits.fallbacks[state.fallback])]
    error_type = of_provider(failure.kind)
    return [_give_up(state, error_type, failure.message)]


def _give_up(state: ThreadState, error_type: str, message: str, note: dict[str, Any] | None = None) -> Finish:
    """Spec core 13.1 ``exhausted``: the turn is dead and queued inputs are dropped."""
    error = session_error(error_type, message, "exhausted")
    stop_reason = {**ev.RETRIES_EXHAUSTED, OURS: note} if note else ev.RETRIES_EXHAUSTED
    return Finish(stop_reason, error=error, dropped=tuple(state.queue))


def _only_talks(other: str) -> Finish:
    """The pause of an agent that only exchanges messages with another; nothing is dropped, a person lets it go on."""
    error = session_error("tool_use_limit_reached_error", ONLY_TALKS.format(other), "exhausted")
    return Finish({**ev.RETRIES_EXHAUSTED, OURS: {"loop": ev.ONLY_TALK, "with": other}}, error=error)
