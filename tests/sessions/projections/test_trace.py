"""The trace as a tree: what a thread of a team does stands under its own turn, and no request outlives its turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

from sessions import events as ev
from sessions.projections import trace
from tests.sessions.harness.test_decide import Entry

if TYPE_CHECKING:
    from sessions.projections.trace import Span

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Log:
    """Events of a lead and its helpers, numbered as they are written, a second apart."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.numbers = count(1)

    def add(self, thread: str, event_type: str, **payload: Any) -> None:
        seq = next(self.numbers)
        at = BEGAN + timedelta(seconds=seq)
        self.entries.append(
            Entry(f"sevt_{seq}", seq, event_type, payload, processed_at=at, created_at=at, thread_id=thread)
        )

    def spans(self, after: float = 1) -> list[Span]:
        return trace.spans(self.entries, self.entries[-1].created_at + timedelta(seconds=after))

    def shown(self) -> list[tuple[str, int, int]]:
        return [(span.thread_id, span.depth, span.seq) for span in self.spans()]


def team() -> Log:
    log = Log()
    log.add("lead", ev.USER_MESSAGE)
    for thread in ("lead", "one", "two"):
        log.add(thread, ev.THREAD_RUNNING)
    for thread in ("two", "lead", "one", "lead"):
        log.add(thread, ev.TOOL_USE, name="bash", evaluated_permission="allow")
    return log


def test_what_threads_do_at_once_stands_under_their_own_turns() -> None:
    log = team()
    assert log.shown() == [
        *(("lead", 0, 1), ("lead", 0, 2), ("lead", 1, 6), ("lead", 1, 8)),
        *(("one", 0, 3), ("one", 1, 7), ("two", 0, 4), ("two", 1, 5)),
    ]
    before = log.shown()
    log.add("one", ev.THREAD_IDLE, stop_reason={"type": "end_turn"})
    log.add("one", ev.THREAD_RUNNING)
    log.add("one", ev.TOOL_USE, name="bash")
    assert log.shown() == [*before, ("one", 0, 10), ("one", 1, 11)], "nothing above moves"


def test_a_message_stands_in_the_turn_it_came_to_or_by_itself() -> None:
    log = team()
    log.add("lead", ev.USER_MESSAGE)
    log.add("two", ev.THREAD_IDLE, stop_reason={"type": "end_turn"})
    log.add("lead", ev.TOOL_USE, name="bash")
    lead = [span for span in log.spans() if span.thread_id == "lead"]
    assert [(span.seq, span.turn) for span in lead] == [(1, 1), (2, 2), (6, 2), (8, 2), (9, 2), (11, 2)]
    log.add("lead", ev.THREAD_IDLE, stop_reason={"type": "end_turn"})
    log.add("lead", ev.USER_MESSAGE)
    assert log.spans()[-1].place == (13, 13)


def test_steps_whose_turn_lies_before_the_window_stand_together() -> None:
    log = team()
    log.entries = log.entries[4:]
    assert log.shown() == [("two", 1, 5), ("lead", 1, 6), ("lead", 1, 8), ("one", 1, 7)]


def test_a_request_without_a_reply_ends_with_its_turn_and_a_call_with_its_thread() -> None:
    log = team()
    log.add("lead", ev.MODEL_START)
    log.add("lead", ev.THREAD_IDLE, stop_reason={"type": "requires_action"})
    spans = {span.seq: span for span in log.spans(after=60)}
    assert spans[9].end == spans[2].end == BEGAN + timedelta(seconds=10)
    assert spans[6].end is None, "it may still be answered"
    log.add("lead", ev.THREAD_TERMINATED)
    spans = {span.seq: span for span in log.spans(after=60)}
    assert spans[6].end == BEGAN + timedelta(seconds=11)
    assert spans[7].end is None
