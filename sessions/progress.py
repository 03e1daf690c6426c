"""A session's progress, kept between questions: only what came since the last one is read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from sessions import caps, log
from sessions import events as ev
from sessions.harness import admission
from sessions.models import File
from sessions.projected import session_columns
from sessions.projections.progress import Progress

if TYPE_CHECKING:
    from datetime import datetime

    from sessions.models import Session

KEPT = 64
PAGE = 1000

_kept: OrderedDict[str, Progress] = OrderedDict()
_lock = threading.Lock()


def progress(session: Session) -> dict[str, Any]:
    """The answer of ``/v1/x/sessions/{id}/progress``."""
    folded, now = follow(session.pk), timezone.now()
    columns = session_columns(session)
    return {
        "type": "session_progress",
        "session_id": session.pk,
        "status": session.status,
        "queue_place": queue_place(session),
        "turns": [_turn(turn) for turn in folded.turns],
        "current": folded.current(),
        "files": [_file(touched) for touched in reversed(folded.files.values())],
        "outputs": _outputs(session),
        "calls": {"made": folded.calls, "failed": folded.failed_calls},
        "seconds": {
            "active": round(columns.clock.active_at(now), 3),
            "model": round(folded.spent.model, 3),
            "tools": round(folded.spent.tools, 3),
            "waiting": {kind: round(value, 3) for kind, value in folded.waiting_seconds(now).items()},
        },
        "usage": columns.usage(now),
        "limits": caps.overview(session)["effective"],
    }


def follow(session_id: str) -> Progress:
    """The fold of the whole log, read on from where the last question left it."""
    with _lock:
        kept = _kept.pop(session_id, None) or Progress()
    while page := log.read(session_id, after=kept.seq, limit=PAGE):
        for event in page:
            kept.advance(event)
    with _lock:
        _kept[session_id] = kept
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return kept


def queue_place(session: Session) -> int | None:
    """Its place among those that wait because only so many of the workspace or person run at once; else None."""
    if session.status != "running" or admission.limits_of(session.workspace.limits) == (None, None):
        return None
    return admission.place(session.workspace_id, session.pk)


def _turn(turn: Any) -> dict[str, Any]:
    return {
        "task": turn.task,
        "began_at": ev.timestamp(turn.began_at),
        "ended_at": ev.timestamp(turn.ended_at),
        "steps": turn.steps,
        "stop_reason": turn.stop or None,
    }


def _file(touched: Any) -> dict[str, Any]:
    at: datetime | None = touched.at
    return {
        "path": touched.path,
        "writes": touched.writes,
        "edits": touched.edits,
        "last_tool_use_id": touched.call_id,
        "changed_at": ev.timestamp(at),
    }


def _outputs(session: Session) -> list[dict[str, Any]]:
    rows = File.objects.filter(session=session).exclude(path="").order_by("path")[:500]
    return [{"file_id": row.pk, "path": row.path, "size_bytes": row.size_bytes} for row in rows]
