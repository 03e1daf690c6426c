"""The same for several sessions: stop what the agents do, or archive what rests. Each answers for itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from django.db import transaction

from contract import audit
from contract.errors import ApiError, InvalidRequest
from contract.roles import Permission
from sessions import actions, inbox
from sessions import events as ev
from sessions.finding import bare_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contract.acting import Acting

MOST = 100
LONGEST_REASON = 500
What = Literal["stop", "archive"]
ACTIONS: tuple[What, ...] = ("stop", "archive")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went with one session; ``error`` says why it didn't."""

    session_id: str
    error: ApiError | None = None


def carry_out(what: What, session_ids: Sequence[str], reason: str, acting: Acting) -> list[Outcome]:
    """Stop or archive sessions of the workspace; the reason goes on the audit log. One that fails stops no other."""
    acting.require(Permission.OPERATE)
    if not 1 <= len(session_ids) <= MOST:
        raise InvalidRequest(f"ids: choose 1 to {MOST} sessions")
    if len(reason) > LONGEST_REASON:
        raise InvalidRequest(f"reason: must have at most {LONGEST_REASON} characters")
    return [_one(what, session_id, reason, acting) for session_id in dict.fromkeys(session_ids)]


def _one(what: What, session_id: str, reason: str, acting: Acting) -> Outcome:
    try:
        with transaction.atomic():
            if what == "stop":
                inbox.send(bare_session(session_id, acting), [{"type": ev.USER_INTERRUPT}], acting)
            else:
                actions.archive_session(session_id, acting)
            verb = "stopped" if what == "stop" else "archived"
            note = {"reason": reason, "together": True}
            audit.record(acting, f"session.{verb}_in_bulk", "agent_sessions.Session", session_id, after=note)
    except ApiError as error:
        return Outcome(session_id, error)
    return Outcome(session_id)
