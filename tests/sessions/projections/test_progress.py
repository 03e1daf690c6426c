"""Progress is told from what was done: turns, files, time, and what is under way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions import events as ev
from sessions.projections.progress import Progress
from tests.sessions.harness.test_decide import Entry

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


class Log:
    def __init__(self) -> None:
        self.progress, self.seconds, self.seq = Progress(), 0.0, 0
        self.entries: list[Entry] = []

    def add(self, event_type: str, payload: dict[str, Any] | None = None, *, after: float = 1.0, **more: Any) -> str:
        self.seconds, self.seq = self.seconds + after, self.seq + 1
        moment = NOON + timedelta(seconds=self.seconds)
        entry = Entry(f"sevt_{self.seq}", self.seq, event_type, payload or {}, created_at=moment, **more)
        self.entries.append(entry)
        self.progress.advance(entry)
        return entry.id

    def say(self, text: str) -> None:
        self.add(ev.USER_MESSAGE, {"content": [{"type": "text", "text": text}]})
        self.add(ev.STATUS_RUNNING)

    def step(self, name: str, given: dict[str, Any], *, failed: bool = False) -> None:
        start = self.add(ev.MODEL_START)
        call = self.add(ev.TOOL_USE, {"name": name, "input": given}, after=2.0)
        self.add(ev.MODEL_END, {"model_request_start_id": start}, after=0.0, private={"usage": {"steps": 1}})
        self.add(ev.TOOL_RESULT, {"tool_use_id": call, "is_error": failed}, after=3.0)

    def rest(self, stop: str = "end_turn") -> None:
        self.add(ev.THREAD_IDLE, {"stop_reason": {"type": stop}})
        self.add(ev.STATUS_IDLE, {"stop_reason": {"type": stop}}, after=0.0)


def test_turns_have_their_task_their_steps_and_their_end() -> None:
    log = Log()
    log.say("build  the\nthing")
    log.step("bash", {"command": "make"})
    log.step("bash", {"command": "make test"}, failed=True)
    log.rest()
    log.say("again")
    first, second = log.progress.turns
    assert (first.task, first.steps, first.stop) == ("build the thing", 2, "end_turn")
    assert (second.task, second.ended_at) == ("again", None)
    assert (log.progress.calls, log.progress.failed_calls) == (2, 1)


def test_a_turn_that_is_tried_again_stays_one_turn_and_a_dropped_message_is_none() -> None:
    log = Log()
    log.say("build the thing")
    log.add(ev.THREAD_RESCHEDULED)
    log.add(ev.STATUS_RESCHEDULED)
    log.say("are you there?")  # queued meanwhile; the running after it is that of the next try
    log.rest("retries_exhausted")
    log.add(ev.STATUS_RUNNING)  # a person asks for another try
    log.rest()
    first, second = log.progress.turns
    assert (first.task, first.stop) == ("build the thing", "retries_exhausted")
    assert first.ended_at is not None
    assert (second.task, second.stop) == ("", "end_turn")


def test_files_are_those_that_calls_really_changed_the_latest_last() -> None:
    log = Log()
    log.say("go")
    log.step("write", {"file_path": "a.py", "content": "1"})
    log.step("edit", {"file_path": "b.py", "old_string": "1", "new_string": "2"}, failed=True)
    log.step("write", {"file_path": "c.py", "content": "1"})
    log.step("edit", {"file_path": "a.py", "old_string": "1", "new_string": "2"})
    touched = list(log.progress.files.values())
    assert [(file.path, file.writes, file.edits) for file in touched] == [("c.py", 1, 0), ("a.py", 1, 1)]


def test_time_is_divided_into_model_tools_and_waiting() -> None:
    log = Log()
    log.say("go")
    log.step("bash", {"command": "make"})
    log.rest("requires_action")
    log.add(ev.THREAD_RUNNING, after=40.0)
    log.add(ev.STATUS_RUNNING, after=0.0)
    log.add(ev.MODEL_START, after=7.0)
    log.add(ev.THREAD_RESCHEDULED)
    now = NOON + timedelta(seconds=log.seconds + 5)
    assert (log.progress.spent.model, log.progress.spent.tools) == (2.0, 3.0)
    waited = {"people": 40.0, "limits": 0.0, "retries": 5.0, "turn": 7.0, "pace": 0.0}
    assert log.progress.waiting_seconds(now) == waited
    assert len(log.progress.turns) == 1, "an answered call goes on with the same turn"
    log.rest("budget_reached")
    assert log.progress.waiting_seconds(NOON + timedelta(seconds=log.seconds + 9))["limits"] == 9.0


def test_a_call_says_who_has_to_answer_it_and_runs_from_then_on() -> None:
    log = Log()
    log.say("go")
    call = log.add(ev.TOOL_USE, {"name": "bash", "input": {}, "evaluated_permission": "ask"})
    custom = log.add(ev.CUSTOM_TOOL_USE, {"name": "lookup", "input": {}})
    assert [one["waits_for"] for one in log.progress.current()] == ["person", "client"]
    log.rest("requires_action")
    log.add(ev.USER_TOOL_CONFIRMATION, {"tool_use_id": call, "result": "allow"}, after=60.0)
    log.add(ev.THREAD_RUNNING)
    assert log.progress.current()[0] | {"waits_for": None} == log.progress.current()[0]
    log.add(ev.TOOL_RESULT, {"tool_use_id": call}, after=9.0, private={"duration_ms": 8000})
    log.add(ev.USER_CUSTOM_TOOL_RESULT, {"custom_tool_use_id": custom})
    assert log.progress.spent.tools == 10.0
    waited = {"people": 61.0, "limits": 0.0, "retries": 0.0, "turn": 1.0, "pace": 0.0}
    assert log.progress.waiting_seconds(NOON) == waited


def test_a_request_that_waits_for_its_server_says_so_until_it_is_sent() -> None:
    log = Log()
    log.say("go")
    begun = log.add(ev.MODEL_START)
    log.add(ev.OPS_PACED, {"seconds": 20.0}, after=1.0)
    assert [one["waits_for"] for one in log.progress.current()] == ["pace"]
    assert log.progress.waiting_seconds(NOON + timedelta(seconds=log.seconds + 4))["pace"] == 5.0
    log.add(ev.OPS_ASKED, after=19.0)
    assert [one["waits_for"] for one in log.progress.current()] == [None]
    log.add(ev.MODEL_END, {"model_request_start_id": begun}, after=3.0)
    assert (log.progress.spent.model, log.progress.spent.pace) == (3.0, 20.0)
    begun = log.add(ev.MODEL_START)
    log.add(ev.OPS_PACED, {"seconds": None}, after=1.0)
    log.add(ev.MODEL_END, {"model_request_start_id": begun}, after=4.0)
    assert (log.progress.spent.model, log.progress.spent.pace) == (3.0, 25.0), "interrupted before it was sent"
    assert log.progress.current() == []


@pytest.mark.parametrize("end", [ev.THREAD_IDLE, ev.THREAD_TERMINATED, ev.MODEL_START])
def test_a_request_that_never_ended_is_not_under_way_for_ever(end: str) -> None:
    log = Log()
    log.say("go")
    lost = log.add(ev.MODEL_START)
    log.add(end)
    assert lost not in [one["event_id"] for one in log.progress.current()]


def test_what_is_under_way_is_named_with_its_beginning() -> None:
    log = Log()
    log.say("go")
    log.add(ev.MODEL_START)
    (under_way,) = log.progress.current()
    assert under_way["type"] == "model_request"
    assert under_way["since"] == ev.timestamp(NOON + timedelta(seconds=log.seconds))


def test_phases_of_a_run_have_their_names_and_their_ends() -> None:
    log = Log()
    log.say("survey")
    named = [{"id": "p1", "name": "find"}, {"id": "p2", "name": "judge"}]
    log.add(ev.RUN_CREATED, {"workflow_run_id": "r", "phases": named})
    log.add(ev.PHASE_STARTED, {"workflow_run_id": "r", "workflow_run_phase_id": "p1"})
    log.add(ev.PHASE_ENDED, {"workflow_run_id": "r", "workflow_run_phase_id": "p1", "phase_started_id": "x"})
    log.add(ev.PHASE_STARTED, {"workflow_run_id": "r", "workflow_run_phase_id": "p2"})
    assert [(one.name, one.ended_at is not None) for one in log.progress.phases.values()] == [
        ("find", True),
        ("judge", False),
    ]


def test_a_call_that_a_person_changed_touched_the_file_that_they_named() -> None:
    log = Log()
    log.say("go")
    call = log.add(ev.TOOL_USE, {"name": "write", "input": {"file_path": "a", "content": "1"}})
    log.add(ev.OPS_CALL_EDITED, {"tool_use_id": call, "input": {"file_path": "b", "content": "1"}})
    log.add(ev.TOOL_RESULT, {"tool_use_id": call, "is_error": False})
    assert list(log.progress.files) == ["b"]


DOINGS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.text(max_size=5)),
        st.tuples(st.just("write"), st.sampled_from("abc")),
        st.tuples(st.just("fail"), st.sampled_from("abc")),
        st.tuples(st.just("rest"), st.sampled_from(["end_turn", "requires_action", "budget_reached"])),
    ),
    max_size=25,
)


def happened(doings: list[tuple[str, str]]) -> list[Entry]:
    log = Log()
    for what, detail in doings:
        if what == "say":
            log.say(detail)
        elif what == "rest":
            log.rest(detail)
        else:
            log.step("write", {"file_path": detail, "content": detail}, failed=what == "fail")
    return log.entries


@given(DOINGS, st.integers(0, 100))
def test_the_same_log_is_the_same_progress_in_one_go_or_in_pieces(doings: list[tuple[str, str]], at: int) -> None:
    entries = happened(doings)
    whole, pieces = Progress(), Progress()
    for entry in entries:
        whole.advance(entry)
    for part in (entries[:at], entries[at:]):
        for entry in part:
            pieces.advance(entry)
        pieces.current()
        pieces.waiting_seconds(NOON)
    assert whole == pieces
    assert whole.current() == pieces.current()
    later = NOON + timedelta(days=1)
    assert whole.waiting_seconds(later) == pieces.waiting_seconds(later)
