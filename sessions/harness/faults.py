"""Faults of our own in a turn: told apart by where they happen, and counted, so that none is repeated for ever."""

from __future__ import annotations

import traceback
from pathlib import Path

from sessions import events as ev
from sessions.harness.state import PROGRESS
from sessions.models import Event

MOST = 3  # failures of one kind in a row
ROOT = Path(__file__).resolve().parent.parent.parent


def where(error: BaseException) -> str:
    """A fault by its kind and the last place in our own code; never its text, which may quote anything."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if ROOT in Path(frame.filename).parents]
    ours = [frame for frame in frames if "site-packages" not in frame.filename]
    if not ours:
        return type(error).__name__
    return f"{type(error).__name__} in {Path(ours[-1].filename).relative_to(ROOT)}, {ours[-1].name}"


def times(thread_id: str, fault: str) -> int:
    """How often in a row a thread has failed this way, since something was last done."""
    kinds = {ev.OPS_FAILED, *PROGRESS}
    rows = Event.objects.filter(thread_id=thread_id, type__in=kinds).order_by("-seq")
    count = 0
    for event in rows[: MOST * 2]:  # whole entries: single columns may be sealed
        if event.type != ev.OPS_FAILED or event.payload["fault"] != fault:
            break
        count += 1
    return count
