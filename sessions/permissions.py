"""The rules a session has besides its agent's: they tighten, and people allow beforehand. Changed while it runs.

Both lists stand on the session's row, and every change of them is an ``ops.permissions_changed`` event. Each
model reply is judged by the lists as they are then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from agents import policies
from agents.additions import rules_json
from agents.rules import MAX_RULES, Rules
from contract.errors import InvalidRequest, PermissionDenied
from contract.limits import Limits
from contract.roles import Permission, may
from sessions import events as ev
from sessions.events import Draft

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents.policies import Rulebook
    from contract.acting import Acting
    from sessions.models import Session

FIELDS = ("permission_rules", "remembered_rules")
Stored = list[dict[str, Any]]


class SessionAdditions(BaseModel):
    """Our own fields of a session, sent under the key ``holdfast``.

    A list replaces the whole one; ``limits`` (``sessions.caps``) change one by one.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    permission_rules: Rules | None = None
    remembered_rules: Rules | None = None
    limits: Limits | None = None


def shown(session: Session) -> dict[str, Any]:
    """What the API shows under ``holdfast``: the lists that hold something."""
    found = {field: getattr(session, field) for field in FIELDS}
    return {field: rules for field, rules in found.items() if rules}


def at_start(sent: Mapping[str, Any] | None) -> dict[str, Stored]:
    """The columns of a new session."""
    if (sent or {}).get("remembered_rules"):
        raise InvalidRequest("holdfast.remembered_rules: a new session has none; they come from approvals")
    return {"permission_rules": rules_json((sent or {}).get("permission_rules"))}


def changes(session: Session, sent: Mapping[str, Any] | None, acting: Acting) -> dict[str, Stored]:
    """The columns that an update gives a new value. Raises ``PermissionDenied`` for one that loosens,
    unless an administrator sends it.
    """
    found: dict[str, Stored] = {}
    for field in FIELDS:
        if not sent or field not in sent:
            continue
        wanted = rules_json(sent[field])
        if wanted == getattr(session, field):
            continue
        if not may(acting.role, Permission.ADMINISTER) and not TIGHTENS[field](getattr(session, field), wanted):
            raise PermissionDenied(LOOSENS[field])
        found[field] = wanted
    return found


def _only_adds(stored: Stored, wanted: Stored) -> bool:
    """True if the stored rules are all there, in order, with only denials before them."""
    for start in range(len(wanted) - len(stored) + 1):
        if wanted[start : start + len(stored)] == stored:
            return all(rule["effect"] == "deny" for rule in wanted[:start])
    return False


def _only_forgets(stored: Stored, wanted: Stored) -> bool:
    rest = iter(stored)
    return all(rule in rest for rule in wanted)


TIGHTENS = {"permission_rules": _only_adds, "remembered_rules": _only_forgets}
LOOSENS = {
    "permission_rules": (
        "holdfast.permission_rules: keep the session's rules and add to them: anything after them, denials before "
        "them. Only an administrator may loosen a session."
    ),
    "remembered_rules": (
        "holdfast.remembered_rules: rules can be taken off the list here; approvals put them on it. Only an "
        "administrator may write others."
    ),
}


def changed(fields: Mapping[str, Stored], acting: Acting) -> Draft:
    """The event that tells of new rules."""
    return Draft(ev.OPS_PERMISSIONS, {**fields, "by": acting.label})


def remembered(session: Session, rule: dict[str, Any]) -> dict[str, Stored]:
    """The columns once ``rule`` answers calls beforehand. Raises ``InvalidRequest`` when there are too many."""
    if rule in session.remembered_rules:
        return {}
    if len(session.remembered_rules) >= MAX_RULES:
        raise InvalidRequest(f"This session remembers {MAX_RULES} rules already; take some off the list first.")
    return {"remembered_rules": [*session.remembered_rules, rule]}


def rulebook(session: Session) -> Rulebook:
    """The session's rules on top of its agent's."""
    agent = policies.rulebook(session.agent_snapshot)
    return policies.with_session(agent, session.permission_rules, session.remembered_rules)
