"""Model requests besides the turn's own, such as a grader's: asked again as patiently as the turn's are."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection

from agents.providers.base import ProviderError, TurnInterrupted
from sessions import events as ev
from sessions.events import Draft
from sessions.harness.lease import keeper
from sessions.harness.limits import Limits, retry_at
from sessions.harness.pace import Telling
from sessions.harness.state import Failure
from sessions.projections.faults import of_provider, session_error

if TYPE_CHECKING:
    from datetime import datetime

    from agents.providers.base import ModelReply, ModelRequest, Provider, ShouldStop
    from sessions.harness.effects import Effects
    from sessions.models import Event

LOOK_SECONDS = 1.0  # while waiting: whether the turn is to end, or to be handed over


def ask(
    effects: Effects, provider: Provider, request: ModelRequest, stored: list[Event], should_stop: ShouldStop
) -> ModelReply:
    """The reply to a request that is not the turn's own. Each wait is told; what tells it is added to ``stored``.

    Raises ``ProviderError`` once no more tries are left, ``TurnInterrupted`` if the turn ends or its worker does.
    """
    pace = Limits(
        retry_base=settings.HOLDFAST_RETRY_BASE_SECONDS, retry_ceiling=settings.HOLDFAST_RETRY_CEILING_SECONDS
    )
    for attempt in count(1):
        try:
            return provider.stream(request, Telling(effects, stored).part, should_stop)
        except ProviderError as error:
            if not error.retryable or attempt >= pace.model_attempts:
                raise
            now = effects.lease.now()
            failure = Failure(error.kind, error.message, True, error.retry_after, attempt, now)
        until = retry_at(failure, pace, effects.spec.thread_id)
        stored += effects.append(told(failure, (until - now).total_seconds(), pace.model_attempts))
        connection.close()
        _wait(effects, until, should_stop)
    raise AssertionError("unreachable: the last attempt returns or raises")


def told(failure: Failure, seconds: float, of: int) -> list[Draft]:
    """What the log says of a failed request that is made again in so many seconds; ``of``: attempts in all."""
    error = session_error(of_provider(failure.kind), failure.message, "retrying")
    about = {"attempt": failure.attempt + 1, "of": of, "seconds": max(0.0, round(seconds, 1)), "kind": failure.kind}
    return [Draft(ev.SESSION_ERROR, {"error": error}), Draft(ev.OPS_RETRY, about)]


def _wait(effects: Effects, until: datetime, should_stop: ShouldStop) -> None:
    while (left := (until - effects.lease.now()).total_seconds()) > 0:
        if should_stop() or keeper().draining:
            raise TurnInterrupted
        effects.lease.changed.wait(min(left, LOOK_SECONDS))
