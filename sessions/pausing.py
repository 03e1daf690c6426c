"""An operator holds a session between two steps, and lets it go on.

What is under way (a model request, a call) is carried to its end; the next step waits. Messages and answers that come
meanwhile are taken and wait with it. Unlike an interrupt, nothing of the turn is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from contract import audit
from contract.errors import InvalidRequest
from contract.roles import Permission
from sessions import events as ev
from sessions import log
from sessions.events import Draft
from sessions.finding import find_session, lock_session
from sessions.models import Session, Thread
from sessions.threads import about
from sessions.wake import wake_on_commit
from sessions.workflows import runs

if TYPE_CHECKING:
    from contract.acting import Acting

MAX_LABEL = 300


@audit.logged("session.paused", "agent_sessions.Session", "session_id")
def pause(session_id: str, acting: Acting) -> Session:
    """Hold a session that works or waits for answers; a second time changes nothing. 400 for one that rests."""
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        session = lock_session(session_id, acting)
        if not session.paused:
            _check_under_way(session)
            threads = list(Thread.objects.select_for_update().filter(session=session).order_by("id"))
            log.append(session_id, _primary(threads).pk, [Draft(ev.OPS_PAUSED, {"by": acting.label[:MAX_LABEL]})])
            for thread in threads:
                if thread.status == "rescheduling":
                    wake_on_commit(thread.pk)
    return find_session(session_id, acting)


@audit.logged("session.resumed", "agent_sessions.Session", "session_id")
def resume(session_id: str, acting: Acting) -> Session:
    """Let a session go on that an operator holds; 400 for any other."""
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        session = lock_session(session_id, acting)
        if not session.paused:
            raise InvalidRequest(f"Session {session_id} is not paused.")
        threads = list(Thread.objects.select_for_update().filter(session=session).order_by("id"))
        log.append(session_id, _primary(threads).pk, [Draft(ev.OPS_RESUMED, {"by": acting.label[:MAX_LABEL]})])
        if session.archived_at is None:
            for thread in threads:
                if thread.status == "idle" and ev.is_paused(thread.stop_reason):
                    log.append(session_id, thread.pk, [Draft(ev.THREAD_RUNNING, about(thread))])
                    wake_on_commit(thread.pk)
            runs.resume(session_id)
    return find_session(session_id, acting)


def _primary(threads: list[Thread]) -> Thread:
    return next(thread for thread in threads if thread.parent_id is None)


def _check_under_way(session: Session) -> None:
    if session.archived_at is not None or session.status == "terminated":
        raise InvalidRequest(f"Session {session.pk} has ended, so it can't be paused.")
    if session.status == "idle" and not session.pending_count:
        raise InvalidRequest(f"Session {session.pk} rests already: nothing runs before somebody sends a message.")
