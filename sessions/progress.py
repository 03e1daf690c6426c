"""A session's progress, kept between questions: only what came since the last one is read.

All of it is told from the log, besides the outputs, which are the session's files, and the place in the queue.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from sessions import caps, inspection, log
from sessions import events as ev
from sessions.harness import admission
from sessions.models import File
from sessions.projected import session_columns
from sessions.projections import changes
from sessions.projections.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sessions.models import Session
    from sessions.projections.changes import Net
    from sessions.projections.progress import Phase, Touched

KEPT = 64
DIFFS, DIFF_LINES = 50, 400
PAGE = 1000
TEXT = re.compile(r"text/|application/([\w.-]+\+)?(json|xml|yaml|toml|javascript|sql)\b|image/svg")

_kept: OrderedDict[str, Progress] = OrderedDict()
_diffs: OrderedDict[str, tuple[int, list[Net]]] = OrderedDict()
_lock = threading.Lock()
_followers = [threading.Lock() for _ in range(KEPT)]  # by session: one question at a time reads a fold on


def progress(session: Session) -> dict[str, Any]:
    """The answer of ``/v1/x/sessions/{id}/progress``."""
    with followed(session.pk) as folded:
        return answer(session, folded)


def answer(session: Session, folded: Progress) -> dict[str, Any]:
    """``progress`` of a session whose log was read."""
    columns, now = session_columns(session), timezone.now()
    became = {one.path: one for one in diffs(session.pk, folded.changed_seq)}
    return {
        "type": "session_progress",
        "session_id": session.pk,
        "status": session.status,
        "queue_place": queue_place(session),
        "turns": [_turn(turn) for turn in folded.turns],
        "phases": [_phase(phase_id, phase) for phase_id, phase in folded.phases.items()],
        "current": folded.current(),
        "files": [_file(touched, became.get(touched.path)) for touched in reversed(folded.files.values())],
        "outputs": _outputs(session),
        "calls": {"made": folded.calls, "failed": folded.failed_calls},
        "seconds": {
            "active": round(columns.clock.active_at(now), 3),
            "model": round(folded.spent.model, 3),
            "tools": round(folded.spent.tools, 3),
            "waiting": {kind: round(value, 3) for kind, value in folded.waiting_seconds(now).items()},
        },
        "steps": columns.spent.usage.steps,
        "model_requests": columns.spent.usage.model_requests,
        "tokens": columns.spent.usage.tokens,
        "usage": columns.usage(now),
        "cost_known": columns.spent.cost_known,
        "limits": caps.overview(session)["effective"],
    }


@contextmanager
def followed(session_id: str) -> Iterator[Progress]:
    """The fold of the whole log, read on from where the last question left it. It stands still within the block."""
    with _followers[hash(session_id) % len(_followers)]:
        with _lock:
            kept = _kept.pop(session_id, None) or Progress()
        while page := log.read(session_id, after=kept.seq, limit=PAGE):
            for event in page:
                kept.advance(event)
        with _lock:
            _kept[session_id] = kept
            while len(_kept) > KEPT:
                _kept.popitem(last=False)
        yield kept


def diffs(session_id: str, changed_seq: int) -> list[Net]:
    """What became of the files changed last, up to the change numbered ``changed_seq``; reckoned once a change."""
    if not changed_seq:
        return []
    with _lock:
        known_at, known = _diffs.get(session_id, (0, []))
    if known_at == changed_seq:
        return known
    found = changes.files(inspection.writing_calls(session_id), DIFF_LINES, DIFFS)
    with _lock:
        _diffs.pop(session_id, None)
        _diffs[session_id] = (changed_seq, found)
        while len(_diffs) > KEPT:
            _diffs.popitem(last=False)
    return found


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


def _phase(phase_id: str, phase: Phase) -> dict[str, Any]:
    return {
        "workflow_run_id": phase.run_id,
        "workflow_run_phase_id": phase_id,
        "name": phase.name,
        "began_at": ev.timestamp(phase.began_at),
        "ended_at": ev.timestamp(phase.ended_at),
    }


def _file(touched: Touched, became: Net | None) -> dict[str, Any]:
    """A file with the hunks of its unified diff, from before its first change to after its last; null for files that
    were changed long ago.
    """
    at: datetime | None = touched.at
    diff = None
    if became is not None:
        diff = {
            "text": "\n".join(line if line.startswith("@@") else line[:1] + line[2:] for line in became.lines),
            "added": became.added,
            "removed": became.removed,
            "lines_left_out": became.cut,
            "complete": became.known,
        }
    return {
        "diff": diff,
        "path": touched.path,
        "writes": touched.writes,
        "edits": touched.edits,
        "last_tool_use_id": touched.call_id,
        "changed_at": ev.timestamp(at),
    }


def _outputs(session: Session) -> list[dict[str, Any]]:
    rows = File.objects.filter(session=session).exclude(path="").order_by("path")[:500]
    return [
        {
            "file_id": row.pk,
            "path": row.path,
            "size_bytes": row.size_bytes,
            "mime_type": row.mime_type,
            "binary": not TEXT.match(row.mime_type),
        }
        for row in rows
    ]
