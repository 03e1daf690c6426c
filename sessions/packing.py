"""Cold logs: sessions that were archived long ago, each as one compressed file outside of the database.

The file is that of the session's export (``exports``), masked as that is. A session leaves the database only after its
file is on the disk, whole and read back; whoever is killed in between has both, and the next run writes the file anew.
"""

from __future__ import annotations

import gzip
import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

from contract.acting import Acting
from contract.errors import ApiError
from contract.roles import Role
from sessions import actions, exports
from sessions.models import Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BY = "pack_sessions"
SUFFIX = ".jsonl.gz"


class CannotPack(Exception):
    """Why a session stays where it is, as a sentence."""


def cold(days: int, workspace_id: str | None = None) -> Iterator[Session]:
    """The sessions that were archived more than ``days`` days ago, those archived first first."""
    found = Session.objects.filter(archived_at__lt=timezone.now() - timedelta(days=days))
    if workspace_id is not None:
        found = found.filter(workspace_id=workspace_id)
    for session_id in found.order_by("archived_at").values_list("pk", flat=True).iterator():
        session = Session.objects.filter(pk=session_id).first()
        if session is not None:
            yield session


def pack(session: Session, directory: Path) -> Path:
    """Move a session into a file of ``directory``; where it is. Raises ``CannotPack``; then the session stays.

    Raises ``OSError`` if the file can't be written.
    """
    path = directory / f"{session.pk}{SUFFIX}"
    try:
        _write(session, path)
        _check(session, path)
        actions.delete_session(session.pk, Acting(session.workspace_id, Role.ADMIN, BY))
    except ApiError as error:
        raise CannotPack(f"Session {session.pk} stays: {error.message}") from error
    return path


def _write(session: Session, path: Path) -> None:
    """All of the file or nothing: it has its name only once it is on the disk."""
    if session.last_seq > exports.MAX_EVENTS:
        raise CannotPack(f"Session {session.pk} stays: it has more than {exports.MAX_EVENTS:,} events.")
    draft, size = path.with_name(f".{path.name}"), 0
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw:
            with gzip.GzipFile(fileobj=raw, mode="wb") as file:
                for line in exports.lines(session):
                    size += file.write(line.encode())
                    if size > exports.MAX_BYTES:
                        raise CannotPack(f"Session {session.pk} stays: its file would be too large to be read again.")
            raw.flush()
            os.fsync(raw.fileno())
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check(session: Session, path: Path) -> None:
    """Read the file back: the head of this session, all its events, the end."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        numbers = [json.loads(line) for line in file]
    head, *events, end = numbers
    whole = head["id"] == session.pk and end["type"] == "end" and len(events) == session.last_seq
    if not whole or [event["seq"] for event in events] != list(range(1, session.last_seq + 1)):
        raise CannotPack(f"Session {session.pk} stays: {path} does not hold all of its log.")
