"""The session's spend ceiling, ``budget`` (spec core 8.7): given at create, raised or removed later."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from agents.pricing import is_priced
from contract.errors import InvalidRequest
from contract.schema import OURS
from sessions import definitions, threads
from sessions import events as ev
from sessions.events import Draft
from sessions.projected import session_columns
from sessions.projections.columns import budget_dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sessions.models import Session, Thread

CENTS = re.compile("[1-9][0-9]{0,11}")
CURRENCY = "USD"


def check(budget: Mapping[str, Any], models: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A sent budget in the stored shape; ``models`` are the resolved model objects it must cover."""
    amount, currency = budget["max_list_cost"]["amount"], budget["max_list_cost"]["currency"]
    if not CENTS.fullmatch(amount):
        raise InvalidRequest('budget.max_list_cost.amount: must be whole cents as a decimal string, such as "2500"')
    if currency != CURRENCY:
        raise InvalidRequest(f"budget.max_list_cost.currency: must be {CURRENCY}")
    for model in models:
        if not is_priced(model["id"], speed=model["speed"], geo=model["inference_geo"]):
            raise InvalidRequest(
                f"budget: the model {model['id']} has no public list price, so its spending can't be limited",
                error_code="model_not_budgetable",
            )
    return {"type": "limit", "max_list_cost": {"amount": amount, "currency": currency}}


def change(session: Session, sent: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What an update makes of the session's budget: removed by null, else replaced by a higher one."""
    if sent is None:
        return None
    if session.budget is None:
        raise InvalidRequest("budget: can't be added to a session that has none", error_code="budget_create_only")
    wanted = check(sent, definitions.models(session.agent_snapshot))
    limit = budget_dollars(wanted)
    if limit is not None and limit <= session_columns(session).cost(timezone.now()):
        raise InvalidRequest(
            "budget.max_list_cost must be greater than the session's consumed list cost",
            error_code="budget_not_raised",
        )
    return wanted


def resume(thread: Thread) -> list[Draft]:
    """What lets a thread that paused at its budget go on; nothing for any other, such as one at a cap of ours."""
    stop = thread.stop_reason or {}
    if thread.status != "idle" or stop.get("type") != "budget_reached" or OURS in stop:
        return []
    return [Draft(ev.THREAD_RUNNING, threads.about(thread))]


def is_used_up(session: Session) -> bool:
    """True if the session's consumed list cost has reached its budget."""
    return session_columns(session).over_budget(timezone.now())
