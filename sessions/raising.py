"""A session that stopped at a cap: raising it from the session's page, whosever it is."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from agents.actions import update_agent
from contract.errors import InvalidRequest
from contract.limits import MAX_COUNT, YEAR_SECONDS
from contract.roles import Permission
from contract.schema import OURS
from sessions import actions, bounds, caps, capwords
from sessions.capwords import BUDGET
from sessions.harness.limits import DAILY, KINDS, MONEY, dollars

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contract.acting import Acting
    from sessions.models import Session

DIGITS = 20  # of a number that is looked at
NEEDED = {"session": Permission.OPERATE, "agent": Permission.BUILD, "workspace": Permission.ADMINISTER}


@dataclass(frozen=True, slots=True)
class Offer:
    """How a session goes on that stopped at a cap.

    ``permission``: what one needs to raise it on the spot, by a form that sends ``cap``, ``level``, ``agent`` and what
    was typed over ``to``. It is empty where no page can: the installation's caps are settings.
    """

    permission: str = ""
    label: str = ""
    cap: str = ""
    level: str = ""
    agent: str = ""
    to: str = ""

    @property
    def sent(self) -> list[tuple[str, str]]:
        """What goes with the form unseen."""
        return [("cap", self.cap), ("level", self.level), ("agent", self.agent)]


def standing(session: Session) -> Mapping[str, Any] | None:
    """The note of the cap that holds a session now (``capwords.met``): of the one that it stopped at, unless that was
    raised meanwhile and another one leaves no room either. None for a session that didn't stop at one.
    """
    note = capwords.met(session)
    if note is None or note["cap"] == BUDGET or note.get("agent_id"):
        return note
    holding = bounds.holding(session)
    still = not holding or any((one.cap, one.level) == (note["cap"], note["level"]) for one in holding)
    return note if still else holding[0].note()


def offer(session: Session, note: Mapping[str, Any] | None) -> Offer | None:
    """The offer of a session that ``note`` says the standing cap of; None without one."""
    if note is None:
        return None
    cap, level, doubled = note["cap"], note["level"], 2 * int(note["limit"])
    if level not in NEEDED:
        return Offer()
    to = f"{doubled / 100:.2f}" if cap in MONEY or cap == BUDGET else str(doubled)
    agent = (note.get("agent_id") or session.agent_id) if level == "agent" else ""
    return Offer(NEEDED[level], capwords.FIELDS[cap], cap, level, agent, "" if capwords.is_unpriced(note) else to)


def raise_cap(session: Session, sent: Mapping[str, str], acting: Acting) -> str:
    """Set (or, with nothing typed, lift) the cap that ``sent`` names, where it stands; what to say of it.

    ``sent`` is an offer's form: ``cap``, ``level``, ``agent`` and the typed ``limit``. Raises ``InvalidRequest``.
    """
    cap, level = sent.get("cap", ""), sent.get("level", "session")
    if level not in NEEDED or cap not in (*KINDS, *DAILY, BUDGET) or (cap == BUDGET and level != "session"):
        raise InvalidRequest(_("There is no such limit."))
    if cap in DAILY and level != "workspace":
        raise InvalidRequest(_("Only a workspace has a limit of a day."))
    value, said = _read(cap, sent.get("limit", ""))
    if cap == BUDGET:
        actions.update_session(session.pk, {BUDGET: None if value is None else {"max_list_cost": value}}, acting)
    elif level == "session":
        actions.update_session(session.pk, {OURS: {"limits": {cap: value}}}, acting)
    elif level == "agent":
        update_agent(sent.get("agent") or session.agent_id, {OURS: {"limits": {cap: value}}}, acting)
    else:
        caps.change_workspace({cap: value}, acting)
    return said


def _read(cap: str, typed: str) -> tuple[Any, str]:
    """What was typed as the API takes it, None for nothing; and what to say once it is set."""
    if not typed.strip():
        return None, _("The limit is lifted.")
    if cap in MONEY or cap == BUDGET:
        cents = _cents(typed)
        said = _("The limit is %(sum)s now.") % {"sum": dollars(cents)}
        return {"amount": str(cents), "currency": "USD"}, said
    number, most = typed.strip().replace(",", ""), YEAR_SECONDS if cap.endswith("_seconds") else MAX_COUNT
    if not (number.isascii() and number.isdigit()) or len(number) > DIGITS or not 0 < int(number) <= most:
        raise InvalidRequest(
            _("Type the limit as a whole number of at most %(most)s, or nothing to lift it.") % {"most": f"{most:,}"}
        )
    said = _("The limit is %(count)s now.") % {"count": capwords.number(cap, number)}
    return int(number), said


def _cents(typed: str) -> int:
    try:
        cents = int((Decimal(typed.strip().removeprefix("$").replace(",", "")) * 100).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError):
        raise InvalidRequest(_("Type the limit as dollars, such as 2.50, or nothing to lift it.")) from None
    if not 0 < cents < MAX_COUNT:
        raise InvalidRequest(_("The limit must be more than nothing and less than ten billion dollars."))
    return cents
