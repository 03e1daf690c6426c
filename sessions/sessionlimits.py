"""The page of one session's limits: what every level sets, what is used, and the form of the session's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from contract.schema import OURS
from sessions import actions, caps, capwords
from sessions.harness.limits import DAILY
from sessions.limitpage import EACH, TOGETHER, Kind, LimitsForm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django import forms

    from contract.acting import Acting
    from sessions.models import Session

BUDGET = Kind("budget", _("Budget in US dollars"), _("The API's own ceiling. It can be raised or lifted."), "dollars")
LEVELS = ("installation", "workspace", "agent")


@dataclass(frozen=True, slots=True)
class Line:
    """A kind of cap: the values of the levels above, what is used, the level in force, the field of the session's own
    (None for what only a workspace has). ``share`` is of what is in force, in percent.
    """

    kind: Kind
    above: tuple[str, ...]
    used: str
    level: str
    share: int | None
    field: forms.BoundField | None


class SessionLimitsForm(LimitsForm):
    """A session's own caps; and its budget, if it was started with one (spec core 8.7)."""

    def __init__(self, data: Any = None, *, session: Session) -> None:
        stored = dict(session.limits or {})
        if session.budget:
            stored[BUDGET.name] = session.budget["max_list_cost"]
        super().__init__(data, stored=stored, kinds=(*EACH, BUDGET) if session.budget else EACH)

    def complain(self, path: str, text: str) -> None:
        """A refusal of the API at the field it is about."""
        words = path or text.partition(" ")[0].lower()
        field = next((name for name in self.fields if name in words.split(".")), None)
        self.add_error(field, text)

    def save(self, session_id: str, acting: Acting) -> Session:
        """The session as it is then. Raises ``InvalidRequest``."""
        own = self.body()
        budget = {BUDGET.name: _budget(own.pop(BUDGET.name))} if BUDGET.name in own else {}
        return actions.update_session(session_id, budget | ({OURS: {"limits": own}} if own else {}), acting)


def _budget(amount: Any) -> Any:
    return None if amount is None else {"max_list_cost": amount}


def lines(session: Session, form: SessionLimitsForm) -> list[Line]:
    """Everything that bounds the session; of what bounds all sessions together only what is limited."""
    found = caps.overview(session)
    daily = [kind for kind in TOGETHER if kind.name in DAILY and kind.name in found["effective"]]
    return [_line(kind, found, form) for kind in (*form.kinds, *daily)]


def _line(kind: Kind, found: Mapping[str, Any], form: SessionLimitsForm) -> Line:
    cap = found["effective"].get(kind.name)
    amount = cap["used"] if cap else found["used"].get(kind.name)
    return Line(
        kind,
        tuple(_shown(kind, found["levels"][level].get(kind.name)) for level in LEVELS),
        "" if amount is None else capwords.number(kind.name, amount),
        "" if cap is None else cap["level"],
        None if cap is None else min(100, int(cap["used"] * 100 / cap["limit"])),
        form[kind.name] if kind.name in form.fields else None,
    )


def _shown(kind: Kind, stored: Any) -> str:
    if stored is None:
        return ""
    return capwords.number(kind.name, stored["amount"] if isinstance(stored, dict) else stored)
