from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sessions import events as ev
from sessions.projections import operations, transcript

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


@dataclass
class Entry:
    type: str
    payload: dict[str, Any] = field(default_factory=dict)
    id: str = "sevt_1"
    seq: int = 1
    thread_id: str = "sthr_1"
    private: dict[str, Any] | None = None
    processed_at: datetime | None = NOW
    created_at: datetime = NOW


def test_an_opened_sandbox_tells_which_limits_are_in_force() -> None:
    row = transcript._mark(Entry(ev.OPS_SANDBOX_OPENED, {"origin": "fresh", "layers": ["rlimits", "watchdog"]}))
    assert row is not None
    assert row.text.body == "Sandbox opened; limits in force: on each process, watched while it runs"


def test_an_event_that_a_transcript_leaves_out_is_no_row() -> None:
    assert transcript._mark(Entry(ev.SESSION_USAGE)) is None


def test_a_repository_in_the_sandbox_is_told_with_its_commit_and_what_was_left_out() -> None:
    told = {"url": "https://git.example/a.git", "commit": "0123456789abcdef", "note": "Large files stay pointers."}
    row = transcript._mark(Entry(ev.OPS_REPOSITORY_READY, told))
    assert row is not None
    assert row.icon in operations.ICONS.values()
    assert row.text.body == "https://git.example/a.git is in the sandbox at 0123456789ab. Large files stay pointers."


def test_a_worker_that_goes_on_itself_is_not_told_as_another() -> None:
    again = operations.sentence(ev.OPS_TAKEN_OVER, {"from": "vm:1:7", "by": "vm:1:7", "seconds": None})
    assert str(again) == "The same worker took it up again"
    other = operations.sentence(ev.OPS_TAKEN_OVER, {"from": "vm:1:7", "by": "vm:2:8", "seconds": None})
    assert str(other) == "Another worker took over"


def test_messages_that_were_dropped_unread_are_told_and_those_that_were_read_are_not() -> None:
    row = transcript._mark(Entry(ev.OPS_PROCESSED, {"event_ids": ["sevt_2"], "dropped": True}))
    assert row is not None
    assert "has not read it" in row.text.body
    assert transcript._mark(Entry(ev.OPS_PROCESSED, {"event_ids": ["sevt_2"]})) is None
