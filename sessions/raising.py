"""A session that stopped at a cap: where it can be raised, and raising it from the session's page."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from django.urls import reverse
from django.utils.translation import gettext as _

from contract.errors import InvalidRequest
from contract.schema import OURS
from sessions.harness.limits import KINDS, NAMES

if TYPE_CHECKING:
    from sessions.models import Session

MOST = 10**12
DIGITS = 20  # of a number that is looked at
MONEY = "list_cost"


@dataclass(frozen=True, slots=True)
class Offer:
    """How to raise the cap a session stopped at. ``here``: by a form that sends ``cap`` and what was typed over ``to``;
    else at ``href``, if there is a page for it.
    """

    text: str
    cap: str = ""
    to: str = ""
    here: bool = False
    href: str = ""


def offer(session: Session) -> Offer | None:
    """The offer of a session that stopped at a cap or its budget; None for any other."""
    stop = session.stop_reason or {}
    if session.status != "idle" or stop.get("type") != "budget_reached":
        return None
    note = stop.get(OURS)
    if note is None:
        cents = int(((session.budget or {}).get("max_list_cost") or {}).get("amount") or 0)
        return Offer(_("Budget in dollars"), "budget", f"{cents / 50:.2f}", here=True)
    if note["level"] == "session":
        doubled = 2 * int(note["limit"])
        to = f"{doubled / 100:.2f}" if note["cap"] == MONEY else str(doubled)
        name = _("Dollars") if note["cap"] == MONEY else NAMES[note["cap"]].capitalize()
        return Offer(name, note["cap"], to, here=True)
    if note["level"] == "agent":
        whose = note.get("agent_id") or session.agent_id  # a child thread's own agent, or the session's
        return Offer(_("Raise it on the agent"), href=reverse("agents:edit", args=[whose]))
    if note["level"] == "workspace":
        return Offer(_("Raise it for the workspace"), href=reverse("sessions:limits"))
    return Offer(_("It is the %(level)s's limit; an administrator can raise it.") % {"level": note["level"]})


def changes(cap: str, typed: str) -> tuple[dict[str, Any], str]:
    """The body of the update that sets a cap of a session (nothing typed lifts it), and what to say of it."""
    if cap == "budget":
        cents = _cents(typed)
        limit = None if cents is None else {"max_list_cost": {"amount": str(cents), "currency": "USD"}}
        said = _("The budget is lifted.") if cents is None else _("The budget is %(sum)s now.") % {"sum": _money(cents)}
        return {"budget": limit}, said
    if cap == MONEY:
        cents = _cents(typed)
        value: Any = None if cents is None else {"amount": str(cents), "currency": "USD"}
        if cents is None:
            return {OURS: {"limits": {MONEY: None}}}, _("The money limit is lifted.")
        return {OURS: {"limits": {MONEY: value}}}, _("The money limit is %(sum)s now.") % {"sum": _money(cents)}
    if cap not in KINDS:
        raise InvalidRequest(_("There is no such limit."))
    if not typed.strip():
        return {OURS: {"limits": {cap: None}}}, _("The limit is lifted.")
    number = typed.strip().replace(",", "")
    if not (number.isascii() and number.isdigit()) or len(number) > DIGITS or not 0 < int(number) < MOST:
        raise InvalidRequest(_("Type the limit as a whole number, or nothing to lift it."))
    said = _("The limit is %(count)s %(unit)s now.") % {"count": number, "unit": NAMES[cap]}
    return {OURS: {"limits": {cap: int(number)}}}, said


def _money(cents: int) -> str:
    return f"${cents / 100:,.2f}"


def _cents(typed: str) -> int | None:
    """What was typed as dollars, in cents; None for nothing. Raises ``InvalidRequest``."""
    if not typed.strip():
        return None
    try:
        cents = int((Decimal(typed.strip().removeprefix("$").replace(",", "")) * 100).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError):
        raise InvalidRequest(_("Type the limit as dollars, such as 2.50, or nothing to lift it.")) from None
    if not 0 < cents < MOST:
        raise InvalidRequest(_("The limit must be more than nothing and less than ten billion dollars."))
    return cents
