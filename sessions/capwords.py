"""Caps in the words of pages: how much, whose, and what a session says that stopped at one."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agents.templatetags.holdfast import duration, money
from contract.phrases import Told
from contract.phrases import marked as _
from contract.schema import OURS
from sessions.harness.limits import MONEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sessions.models import Session

BUDGET = "budget"
AMOUNTS = {
    "steps": _("%(n)s steps"),
    "model_requests": _("%(n)s model requests"),
    "tokens": _("%(n)s tokens"),
    "list_cost": _("%(n)s of money"),
    "running_seconds": _("%(n)s of work"),
    "list_cost_per_day": _("%(n)s of money a day"),
    "tokens_per_day": _("%(n)s tokens a day"),
}
LABELS = {
    "steps": _("Steps"),
    "model_requests": _("Model requests"),
    "tokens": _("Tokens"),
    "list_cost": _("Money"),
    "running_seconds": _("Time at work"),
    "list_cost_per_day": _("Money of all sessions today"),
    "tokens_per_day": _("Tokens of all sessions today"),
}
FIELDS = {  # what one types to raise it
    BUDGET: _("Budget in dollars"),
    "steps": _("Steps"),
    "model_requests": _("Model requests"),
    "tokens": _("Tokens"),
    "list_cost": _("Dollars"),
    "running_seconds": _("Seconds of work"),
    "list_cost_per_day": _("Dollars a day"),
    "tokens_per_day": _("Tokens a day"),
}
LEVELS = {
    "installation": _("the installation"),
    "workspace": _("the workspace"),
    "agent": _("the agent"),
    "session": _("this session"),
}
STOPPED = {
    "installation": _("Stopped at the installation's limit of %(amount)s."),
    "workspace": _("Stopped at the workspace's limit of %(amount)s."),
    "agent": _("Stopped at the agent's limit of %(amount)s."),
    "session": _("Stopped at this session's limit of %(amount)s."),
}
UNPRICED = _("Money is limited, but a model that this session used has no known price. Only lifting the limit helps.")


@dataclass(frozen=True, slots=True)
class Line:
    """How much of a kind is used, in words. ``share`` is of ``limit``, in percent; None where nothing limits it."""

    label: str
    used: str
    limit: str = ""
    level: str = ""
    share: int | None = None


def number(kind: str, value: Any) -> str:
    """What a cap's number reads like; money is stored in cents."""
    if kind in MONEY:
        return money(Decimal(value) / 100)
    return duration(float(value)) if kind.endswith("_seconds") else f"{int(value):,}"


def amount(kind: str, value: Any) -> Told:
    return Told(AMOUNTS[kind], n=number(kind, value))


def met(session: Session) -> Mapping[str, Any] | None:
    """The note of the cap that a session stopped at (``cap``, ``level``, ``limit``, ``used`` …); None for any other.

    The API's own budget reads the same, as the cap ``BUDGET`` of the session, in cents.
    """
    stop = session.stop_reason or {}
    if session.status != "idle" or stop.get("type") != "budget_reached":
        return None
    cents = int(((session.budget or {}).get("max_list_cost") or {}).get("amount") or 0)
    return stop.get(OURS) or {"cap": BUDGET, "level": "session", "limit": cents, "used": cents}


def stopped(session: Session) -> Told | None:
    """What a session says that stopped at a cap or its budget: at which, and whose; None for any other."""
    note = met(session)
    return None if note is None else stopped_at(note)


def stopped_at(note: Mapping[str, Any]) -> Told:
    """The same of a note of ``met``'s kind."""
    if note["cap"] == BUDGET:
        return Told(_("Stopped at this session's budget of %(sum)s."), sum=number("list_cost", note["limit"]))
    if is_unpriced(note):
        return Told(UNPRICED)
    return Told(STOPPED[note["level"]], amount=amount(note["cap"], note["limit"]))


def is_unpriced(note: Mapping[str, Any]) -> bool:
    """Whether it stopped because its money can't be counted, and not because it was spent."""
    return note["cap"] in MONEY and int(note["used"]) < int(note["limit"])


def line(kind: str, used: Any, cap: Mapping[str, Any] | None, *, known: bool) -> Line:
    """A kind and what limits it (an ``effective`` of ``caps.overview``), if anything does.

    ``known``: all of the money could be counted.
    """
    words = _("unknown") if kind in MONEY and not known else number(kind, used)
    if cap is None:
        return Line(LABELS[kind], words)
    share = min(100, int(cap["used"] * 100 / cap["limit"]))
    return Line(LABELS[kind], words, number(kind, cap["limit"]), LEVELS[cap["level"]], share)
