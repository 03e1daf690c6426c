"""How a dream runs: as a session of its own, begun by a task and watched by the sweeper.

Each step is one transaction under the lock of the dream's row and says only what that row, its session and its
inputs say. Whoever dies in between, the next look goes on from there, and no step is taken twice.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import DatabaseError, transaction
from django.db.models import Max, Sum
from django.utils import timezone

from agents.memory import stores
from agents.models import MemoryStore, MemoryVersion
from contract.acting import Acting
from contract.errors import ApiError
from contract.roles import Role
from sessions import events as ev
from sessions import inbox
from sessions.actions import archive_session, start_session
from sessions.dreams import kit, transcripts
from sessions.models import Dream, Event, File, Resource, Session
from sessions.models.dreams import OPEN
from sessions.wake import drive_dream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessions.dreams.transcripts import Transcript
    from sessions.models import DreamKit

log = logging.getLogger(__name__)

MAX_STORE_BYTES = 50 * 1024 * 1024  # more than a model could put in order
MAX_TIME = timedelta(hours=24)
BATCH = 50
STORE_GONE, SESSION_GONE = "input_memory_store_unavailable", "input_session_unavailable"
TOO_LARGE, TIMEOUT, INTERNAL = "input_memory_store_too_large", "timeout", "internal_error"


class _Undo(Exception):
    """Leaves a transaction without a trace."""


def acting_for(dream: Dream) -> Acting:
    """Who a dream's session belongs to: whoever asked for the dream."""
    key = dream.created_by_key or None
    return Acting(dream.workspace_id, Role.OPERATOR, f"dream {dream.pk}", user_id=dream.created_by_id, api_key_id=key)


def rehearse(dream: Dream, acting: Acting) -> None:
    """Start the session of a dream that is about to be made, and take it back. Raises what it would fail with."""
    own = kit.kit_of(dream.workspace_id)
    try:
        with transaction.atomic():
            _session(dream, own, [], dream.store_id, acting)
            raise _Undo
    except _Undo:
        return


def drive_on_commit(dream_id: str) -> None:
    transaction.on_commit(lambda: drive_dream(dream_id))


def waiting() -> list[str]:
    """Dreams whose session hasn't begun."""
    rows = Dream.objects.filter(stopped=False, status="pending").order_by("created_at")
    return list(rows.values_list("pk", flat=True)[:BATCH])


def drive(dream_id: str) -> None:
    """Begin a pending dream: write down its transcripts, then make its session. One that never succeeds is ended."""
    dream = Dream.objects.filter(pk=dream_id, status="pending").first()
    if dream is None:
        return
    error, papers = _too_old(dream), []
    try:
        papers = transcripts.write(dream.session_ids, dream.workspace_id) if error is None else []
    except ApiError as problem:
        error = _error(SESSION_GONE, problem.message)
    with transaction.atomic():
        dream = Dream.objects.select_for_update().filter(pk=dream_id, status="pending").first()
        if dream is None:
            return
        error = error or _lost_input(dream) or _too_large(dream)
        if error is None:
            error = _try_to_begin(dream, papers)
        if error is not None:
            finish(dream, "failed", error)


def _try_to_begin(dream: Dream, papers: Sequence[Transcript]) -> dict[str, str] | None:
    try:
        with transaction.atomic():
            _begin(dream, papers)
    except ApiError as problem:
        return _error(INTERNAL, problem.message)
    return None


def _begin(dream: Dream, papers: Sequence[Transcript]) -> None:
    acting = acting_for(dream)
    own = kit.kit_of(dream.workspace_id)
    source = MemoryStore.objects.select_for_update(no_key=True).get(pk=dream.store_id)
    target = source if dream.updates_existing else stores.copy_store(source, _marks(dream))
    session = _session(dream, own, papers, target.pk, acting)
    if not dream.updates_existing:
        stores.copy_memories(source, target, session.pk)
    dream.status, dream.session, dream.output_store_id = "running", session, target.pk
    dream.save(update_fields=["status", "session", "output_store_id"])


def _marks(dream: Dream) -> dict[str, str]:
    return {"dream_id": dream.pk, "input_memory_store_id": dream.store_id}


def _session(dream: Dream, own: DreamKit, papers: Sequence[Transcript], store_id: str, acting: Acting) -> Session:
    """A session with the store and the transcripts, and its task."""
    version, snapshot = kit.definition(own, dream.model)
    name = MemoryStore.objects.values_list("name", flat=True).get(pk=dream.store_id)
    body = {
        "title": f"Dream: {name}",
        "resources": [{"type": "memory_store", "memory_store_id": store_id, "access": "read_write"}],
    }
    session = start_session(version, snapshot, own.environment, body, acting)
    for paper in papers:
        _mount(session, paper)
    path = Resource.objects.get(session=session, kind="memory_store").mount_path
    content = [{"type": "text", "text": kit.task(dream, path, papers)}]
    inbox.send(session, [{"type": ev.USER_MESSAGE, "content": content}], acting)
    return session


def _mount(session: Session, paper: Transcript) -> None:
    now = timezone.now()
    file = File.objects.create(
        workspace_id=session.workspace_id,
        session=session,
        filename=f"{paper.session_id}.md",
        mime_type="text/markdown",
        size_bytes=paper.size,
        digest=paper.digest,
        created_at=now,
    )
    Resource.objects.create(
        session=session, kind="file", file=file, mount_path=paper.mount_path, created_at=now, updated_at=now
    )


def settle() -> None:
    """Look after the dreams under way: end what is done, lost or too long, and close what has ended."""
    rows = Dream.objects.filter(stopped=False).exclude(status="pending").order_by("created_at")
    for dream_id in list(rows.values_list("pk", flat=True)[:BATCH]):
        try:
            _settle(dream_id)
        except DatabaseError:
            raise
        except Exception:
            log.exception("Dream %s can't be looked after; the next sweep tries again.", dream_id)


def _settle(dream_id: str) -> None:
    with transaction.atomic():
        rows = Dream.objects.select_for_update(of=("self",), skip_locked=True).select_related("session")
        dream = rows.filter(pk=dream_id, stopped=False).exclude(status="pending").first()
        if dream is None:
            return
        if dream.status == "running":
            _judge(dream)
        if dream.status not in OPEN:
            _close(dream)


def _judge(dream: Dream) -> None:
    """End a running dream if its session has, or if there is a reason to."""
    session = dream.session
    lost = _lost_input(dream)
    if lost is not None:
        finish(dream, "failed", lost)
    elif session is None or session.archived_at is not None:
        finish(dream, "failed", _error(INTERNAL, "The dream's session was archived or deleted while it ran."))
    elif session.status == "terminated":
        finish(dream, "failed", _error(INTERNAL, _last_error(session)))
    elif (late := _too_old(dream)) is not None:
        finish(dream, "failed", late)
    elif session.status == "idle":
        _rested(dream, session)


def _rested(dream: Dream, session: Session) -> None:
    """A session that waits for a person or at a cap waits for it; any other rest ends the dream."""
    reason = (session.stop_reason or {}).get("type")
    if reason == "retries_exhausted":
        finish(dream, "failed", _error(INTERNAL, _last_error(session)))
    elif reason == "end_turn":
        finish(dream, "canceled" if _interrupted(session) else "completed")


def _interrupted(session: Session) -> bool:
    """Whether somebody stopped the session by hand after it had last said something."""
    rows = Event.objects.filter(session=session)
    stopped = rows.filter(type=ev.USER_INTERRUPT).aggregate(last=Max("seq"))["last"]
    return bool(stopped) and not rows.filter(type=ev.AGENT_MESSAGE, seq__gt=stopped).exists()


def _last_error(session: Session) -> str:
    rows = Event.objects.filter(session=session, type=ev.SESSION_ERROR).order_by("-seq")
    last = rows.first()
    return str(last.payload["error"]["message"]) if last else "The dream's session ended with an error."


def _lost_input(dream: Dream) -> dict[str, str] | None:
    """What was archived or deleted under the dream; the sessions it reads may have been archived before it."""
    if not MemoryStore.objects.filter(pk=dream.store_id, workspace_id=dream.workspace_id, archived_at=None).exists():
        return _error(STORE_GONE, f"Memory store {dream.store_id} was archived or deleted.")
    rows = Session.objects.filter(pk__in=dream.session_ids, workspace_id=dream.workspace_id)
    there = set(rows.exclude(archived_at__gt=dream.created_at).values_list("pk", flat=True))
    lost = set(dream.session_ids) - there
    return _error(SESSION_GONE, f"Session {min(lost)} was archived or deleted.") if lost else None


def _too_old(dream: Dream) -> dict[str, str] | None:
    if timezone.now() <= dream.created_at + MAX_TIME:
        return None
    return _error(TIMEOUT, f"The dream did not end within {MAX_TIME.days * 24} hours.")


def _too_large(dream: Dream) -> dict[str, str] | None:
    heads = MemoryVersion.objects.filter(head_of__store_id=dream.store_id)
    size = heads.aggregate(size=Sum("content_size_bytes"))["size"] or 0
    if size <= MAX_STORE_BYTES:
        return None
    limit = MAX_STORE_BYTES // 2**20
    return _error(
        TOO_LARGE, f"Memory store {dream.store_id} holds more than {limit} MB, which is the most for a dream."
    )


def _error(kind: str, message: str) -> dict[str, str]:
    return {"type": kind, "message": message}


def finish(dream: Dream, status: str, error: dict[str, str] | None = None) -> None:
    """Give a locked dream its final status, and stop its session if that still works."""
    dream.status, dream.error, dream.ended_at = status, error, timezone.now()
    dream.stopped = dream.session is None
    dream.save(update_fields=["status", "error", "ended_at", "stopped"])
    _stop(dream)


def _stop(dream: Dream) -> bool:
    """Whether the session of a dream that has ended rests. If not, it is interrupted, unless that is under way:
    an interrupt ends one turn, and a message that was queued before it begins another.
    """
    session = dream.session
    if session is None or session.status not in ("running", "rescheduling"):
        return True
    if not Event.objects.filter(session=session, type=ev.USER_INTERRUPT, processed_at=None).exists():
        inbox.send(session, [{"type": ev.USER_INTERRUPT}], acting_for(dream))
    return False


def _close(dream: Dream) -> None:
    """Archive the session of a dream that has ended, once it rests, and let the transcripts go."""
    if not _stop(dream):
        return
    session = dream.session
    if session is not None:
        dream.usage = session.usage
        papers = Resource.objects.filter(session=session, mount_path__startswith=f"{kit.TRANSCRIPTS}/")
        File.objects.filter(pk__in=list(papers.values_list("file_id", flat=True))).delete()
        if session.archived_at is None:
            archive_session(session.pk, acting_for(dream))
    dream.stopped = True
    dream.save(update_fields=["usage", "stopped"])
