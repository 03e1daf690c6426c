"""The same for several sessions: stop what the agents do, or archive what rests. Each answers for itself."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from contract import audit
from contract.errors import ApiError, InvalidRequest
from contract.roles import Permission
from sessions import actions, filters, inbox, search
from sessions import events as ev
from sessions.finding import bare_session
from sessions.models import Session
from sessions.repair import repair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from contract.acting import Acting

logger = logging.getLogger(__name__)

MOST = 100
LONGEST_REASON = 500
What = Literal["stop", "archive"]
FAILED = "Something failed inside the server, and this session was left as it was; the server's log has the details."
ACTIONS: tuple[What, ...] = ("stop", "archive")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went with one session; ``error`` says why it didn't."""

    session_id: str
    error: ApiError | None = None


@dataclass(frozen=True, slots=True)
class Matching:
    """Sessions that filters find, newest first. ``more``: there are others, which another call would find."""

    session_ids: list[str]
    more: bool


def matching(what: What, given: Mapping[str, str], limit: int, acting: Acting) -> Matching:
    """Those with something to stop, or not archived yet, that the list's filters leave; days are UTC's.

    Raises ``InvalidRequest`` if there is no filter, or one that means nothing.
    """
    acting.require(Permission.OPERATE)
    filters.check(given)
    wanted = filters.chosen(given)
    if not wanted:
        raise InvalidRequest("filters: name at least one; to choose all sessions that work, say {'status': 'working'}")
    found = search.in_logs(wanted["q"], acting.workspace_id) if "q" in wanted else None
    mine = Session.objects.filter(workspace_id=acting.workspace_id, archived_at=None)
    if what == "stop":
        mine = mine.filter(Q(status__in=("running", "rescheduling")) | Q(pending_count__gt=0))
    rows = filters.narrowed(mine, wanted, found, ZoneInfo("UTC")).order_by("-created_at", "-pk")
    ids = list(rows.values_list("pk", flat=True)[: limit + 1])
    return Matching(ids[:limit], len(ids) > limit)


def carry_out(what: What, session_ids: Sequence[str], reason: str, acting: Acting) -> list[Outcome]:
    """Stop or archive sessions of the workspace; the reason goes on the audit log. One that fails stops no other."""
    acting.require(Permission.OPERATE)
    if not 1 <= len(session_ids) <= MOST:
        raise InvalidRequest(f"session_ids: choose 1 to {MOST} sessions")
    if len(reason) > LONGEST_REASON:
        raise InvalidRequest(f"reason: must have at most {LONGEST_REASON} characters")
    return [_one(what, session_id, reason, acting) for session_id in dict.fromkeys(session_ids)]


def _one(what: What, session_id: str, reason: str, acting: Acting) -> Outcome:
    """How it goes with one. What nobody foresaw is logged and told of this one; only a lost database ends the rest."""
    try:
        try:
            _carry_out(what, session_id, reason, acting)
        except (IntegrityError, *ev.UNREADABLE):  # the rows were changed by hand
            if not repair(session_id):
                raise
            _carry_out(what, session_id, reason, acting)
    except ApiError as error:
        return Outcome(session_id, error)
    except Exception:
        if not connection.is_usable():
            raise
        logger.exception("Session %s could not be dealt with.", session_id)
        return Outcome(session_id, ApiError(FAILED))
    return Outcome(session_id)


def _carry_out(what: What, session_id: str, reason: str, acting: Acting) -> None:
    with transaction.atomic():
        if what == "stop":
            inbox.send(bare_session(session_id, acting), [{"type": ev.USER_INTERRUPT}], acting)
        else:
            actions.archive_session(session_id, acting)
        verb = "stopped" if what == "stop" else "archived"
        note = {"reason": reason, "together": True}
        audit.record(acting, f"session.{verb}_in_bulk", "agent_sessions.Session", session_id, after=note)
