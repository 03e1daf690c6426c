"""Sessions and threads of the caller's workspace; whatever belongs to another is as good as unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Prefetch

from contract.errors import NotFound
from sessions import prepared
from sessions.models import Resource, Session, Thread

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from contract.acting import Acting

BARE = prepared.Question(lambda: Session.objects.filter(pk=prepared.TEXT).filter(workspace_id=prepared.TEXT).order_by())
CLOCK = ("id", "session_id", "active_seconds", "running_since")


def sessions_of(acting: Acting) -> QuerySet[Session]:
    """Every session of the workspace, with what the API shows of it in two more queries."""
    return Session.objects.filter(workspace_id=acting.workspace_id).prefetch_related(
        Prefetch("threads", Thread.objects.only(*CLOCK)), Prefetch("resources", Resource.objects.all())
    )


def find_session(session_id: str, acting: Acting) -> Session:
    """A session ready to be shown."""
    session = sessions_of(acting).filter(pk=session_id).first()
    if session is None:
        raise NotFound(f"There is no session {session_id} in this workspace.")
    return session


def bare_session(session_id: str, acting: Acting) -> Session:
    """A session's own row. One query."""
    found = BARE.rows(session_id, acting.workspace_id)
    if not found:
        raise NotFound(f"There is no session {session_id} in this workspace.")
    return found[0]


def lock_session(session_id: str, acting: Acting) -> Session:
    """A session's own row, held still until the transaction ends."""
    rows = Session.objects.select_for_update(of=("self",))
    session = rows.filter(pk=session_id, workspace_id=acting.workspace_id).first()
    if session is None:
        raise NotFound(f"There is no session {session_id} in this workspace.")
    return session


def find_thread(session_id: str, thread_id: str, acting: Acting) -> Thread:
    thread = Thread.objects.filter(
        pk=thread_id, session_id=session_id, session__workspace_id=acting.workspace_id
    ).first()
    if thread is None:
        raise NotFound(f"There is no thread {thread_id} in session {session_id}.")
    return thread
