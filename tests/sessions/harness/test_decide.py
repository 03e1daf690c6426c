"""The pure loop: a simulated world performs what `decide` asks for, and the log must come out right."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessions import events as ev
from sessions.events import Draft
from sessions.harness import decide as do
from sessions.harness.decide import decide
from sessions.harness.limits import Limits, retry_at
from sessions.harness.prompt import Prompt
from sessions.harness.state import Failure, ThreadState

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
LIMITS = Limits(tool_rounds=50, model_attempts=3)
ABOUT = {"session_thread_id": "sthr_1", "agent_name": "Demo"}


@dataclass
class Entry:
    id: str
    seq: int
    type: str
    payload: dict[str, Any]
    private: dict[str, Any] | None = None
    processed_at: datetime | None = NOW
    created_at: datetime = NOW
    thread_id: str = "sthr_1"


@dataclass
class World:
    """A log, its fold, and a script of model replies: lists of call kinds, `fail`, `fatal` or `end`."""

    script: list[Any] = field(default_factory=list)
    log: list[Entry] = field(default_factory=list)
    now: datetime = NOW
    state: ThreadState = field(default_factory=lambda: ThreadState("sthr_1"))
    prompt: Prompt = field(default_factory=lambda: Prompt(lambda block: block))
    names: Any = field(default_factory=itertools.count)
    command: str = ""  # of every call; each its own unless given

    def add(self, event_type: str, payload: dict[str, Any] | None = None, **more: Any) -> Entry:
        entry = Entry(
            f"sevt_{next(self.names)}", len(self.log) + 1, event_type, payload or {}, created_at=self.now, **more
        )
        self.log.append(entry)
        draft = Draft(event_type, entry.payload, private=entry.private)
        self.state.session = self.state.session.after(draft, self.now)
        self.state.advance(entry)
        self.prompt.advance(entry)
        return entry

    def say(self, text: str, *, queued: bool = False) -> Entry:
        content = {"content": [{"type": "text", "text": text}]}
        return self.add(ev.USER_MESSAGE, content, processed_at=None if queued else NOW)

    def start(self, text: str = "go") -> None:
        self.say(text)
        self.add(ev.THREAD_RUNNING, ABOUT)

    def idle(self, stop_reason: dict[str, Any]) -> None:
        self.add(ev.THREAD_IDLE, {**ABOUT, "stop_reason": stop_reason})

    def run(self, steps: int = 200) -> None:
        for _ in range(steps):
            actions = decide(self.state, LIMITS, self.now)
            if not actions:
                return
            for action in actions:
                self.perform(action)
        raise AssertionError("the loop did not come to rest")

    def perform(self, action: do.Action) -> None:  # noqa: C901  one case an action
        match action:
            case do.CallModel(resume):
                if resume:
                    self.add(ev.THREAD_RUNNING, ABOUT)
                self.reply(self.add(ev.MODEL_START).id)
            case do.RunTool(call) | do.Refuse(call):
                self.add(
                    ev.TOOL_RESULT, {"tool_use_id": call.id, "content": [], "is_error": isinstance(action, do.Refuse)}
                )
            case do.CloseRequest(request_id):
                self.add(ev.MODEL_END, {"model_request_start_id": request_id}, private={"lost": True})
            case do.ClearResults(count):
                self.add(ev.OPS_CLEARED, {"results": count})
            case do.Remind(kind, text):
                self.add(ev.OPS_REMINDER, {"kind": kind, "text": text})
            case do.Compact(resume):
                if resume:
                    self.add(ev.THREAD_RUNNING, ABOUT)
                start = self.add(ev.MODEL_START)
                self.add(ev.MODEL_END, {"model_request_start_id": start.id}, private={"usage": {}, "cost": "0"})
                self.add(ev.COMPACTED, private={"summary": "what was said"})
            case do.Interrupt(interrupts, calls, messages):
                for call in calls:
                    event_type = ev.RESULT_OF[call.type]
                    self.add(event_type, {ev.CALL_ID_FIELD[event_type]: call.id, "is_error": True})
                self.add(ev.OPS_PROCESSED, {"event_ids": list(interrupts)})
                self.idle(ev.END_TURN)
                if messages:
                    self.add(ev.OPS_PROCESSED, {"event_ids": list(messages)})
                    self.add(ev.THREAD_RUNNING, ABOUT)
            case do.TakeMessages(messages):
                self.add(ev.OPS_PROCESSED, {"event_ids": list(messages)})
            case do.FallBack(_, model):
                self.add(ev.OPS_FALLBACK, {"to": model})
            case do.Park():
                self.state.calls.clear()
                self.idle(ev.RETRIES_EXHAUSTED)
            case do.Retry(_, at):
                self.add(ev.THREAD_RESCHEDULED, ABOUT, private={"wake_at": at.isoformat()})
            case do.Wait(until):
                self.now = until
            case do.Finish(stop_reason, _, _, dropped):
                if dropped:
                    self.add(ev.OPS_PROCESSED, {"event_ids": list(dropped), "dropped": True})
                self.idle(stop_reason)

    def reply(self, start_id: str) -> None:
        turn = self.script.pop(0) if self.script else "end"
        end = {"model_request_start_id": start_id}
        if turn in ("fail", "fatal", "overflow"):
            kind = "context_exceeded" if turn == "overflow" else "overloaded"
            failure = {"kind": kind, "message": "busy", "retryable": turn == "fail", "retry_after": None}
            self.add(ev.MODEL_END, end, private={"failure": failure})
            return
        blocks = []
        for number, permission in enumerate(turn if isinstance(turn, list) else []):
            event_type = ev.CUSTOM_TOOL_USE if permission == "custom" else ev.TOOL_USE
            payload: dict[str, Any] = {"name": "bash", "input": {"command": self.command or f"step {len(self.log)}"}}
            if permission != "custom":
                payload["evaluated_permission"] = permission
            call = self.add(event_type, payload)
            blocks.append({"type": "tool_use", "event": call.id, "id": f"toolu_{call.id}_{number}"})
        self.add(ev.MODEL_END, end, private={"blocks": blocks, "stop_reason": "tool_use" if blocks else "end_turn"})

    def types(self) -> list[str]:
        return [entry.type for entry in self.log]

    def last_stop(self) -> dict[str, Any]:
        return next(e.payload["stop_reason"] for e in reversed(self.log) if e.type == ev.THREAD_IDLE)


def test_a_plain_turn_asks_once_and_ends() -> None:
    world = World()
    world.start()
    world.run()
    assert world.types() == [ev.USER_MESSAGE, ev.THREAD_RUNNING, ev.MODEL_START, ev.MODEL_END, ev.THREAD_IDLE]
    assert world.last_stop() == ev.END_TURN


def test_free_calls_of_one_reply_come_together_while_gated_ones_wait() -> None:
    world = World([["allow", "ask", "allow", "deny"]])
    world.start()
    world.perform(decide(world.state, LIMITS, world.now)[0])
    actions = decide(world.state, LIMITS, world.now)
    assert [type(action) for action in actions] == [do.RunTool, do.RunTool, do.Refuse]
    world.run()
    (asked,) = [call.id for call in world.state.calls.values()]
    assert world.last_stop() == ev.requires_action([asked])


def test_an_allowed_call_runs_and_a_denied_one_tells_the_model_what_was_said() -> None:
    world = World([["ask", "ask"]])
    world.start()
    world.run()
    first, second = list(world.state.calls)
    world.add(ev.USER_TOOL_CONFIRMATION, {"tool_use_id": first, "result": "allow"})
    world.add(ev.USER_TOOL_CONFIRMATION, {"tool_use_id": second, "result": "deny", "deny_message": "Keep build/."})
    world.add(ev.THREAD_RUNNING, ABOUT)
    run, refuse = decide(world.state, LIMITS, world.now)
    assert isinstance(run, do.RunTool)
    assert run.call.id == first
    assert isinstance(refuse, do.Refuse)
    assert "Keep build/." in refuse.call.refusal
    world.run()
    assert world.last_stop() == ev.END_TURN


def test_queued_messages_are_taken_together_without_going_idle_between() -> None:
    world = World()
    world.start()
    world.say("two", queued=True)
    world.say("three", queued=True)
    world.run()
    assert world.types().count(ev.THREAD_IDLE) == 1
    assert world.types().count(ev.MODEL_START) == 2


def test_an_interrupt_closes_every_open_call_and_starts_the_next_message() -> None:
    world = World([["allow", "custom"]])
    world.start()
    world.perform(decide(world.state, LIMITS, world.now)[0])
    world.add(ev.USER_INTERRUPT, processed_at=None)
    world.say("instead", queued=True)
    (action,) = decide(world.state, LIMITS, world.now)
    assert isinstance(action, do.Interrupt)
    assert len(action.calls) == 2
    world.run()
    assert world.last_stop() == ev.END_TURN
    assert [message["role"] for message in world.prompt.messages] == ["user", "assistant", "user"]


def test_a_request_left_open_by_a_dead_worker_is_closed_and_asked_again() -> None:
    world = World()
    world.start()
    start = world.add(ev.MODEL_START)
    (action,) = decide(world.state, LIMITS, world.now)
    assert action == do.CloseRequest(start.id)
    world.run()
    assert world.last_stop() == ev.END_TURN


def test_retries_are_exhausted_after_the_last_attempt_and_drop_the_queue() -> None:
    world = World(["fail", "fail", "fail", "end"])
    world.start()
    world.say("still there?", queued=True)
    world.run()
    assert world.last_stop() == ev.RETRIES_EXHAUSTED
    assert world.types().count(ev.THREAD_RESCHEDULED) == 2
    assert world.state.queue == []
    world.start("again")
    world.run()
    assert world.last_stop() == ev.END_TURN


def test_a_failure_that_cannot_pass_is_not_tried_again() -> None:
    world = World(["fatal"])
    world.start()
    world.run()
    assert ev.THREAD_RESCHEDULED not in world.types()
    assert world.last_stop() == ev.RETRIES_EXHAUSTED


def test_a_turn_that_goes_round_in_circles_is_reminded_once_then_stopped_by_name() -> None:
    world = World([["allow"]] * 100, command="true")
    world.start()
    world.run(500)
    assert world.types().count(ev.OPS_REMINDER) == 1
    assert world.last_stop() == {**ev.RETRIES_EXHAUSTED, "holdfast": {"loop": "identical_calls"}}
    reminded = next(place for place, entry in enumerate(world.log) if entry.type == ev.OPS_REMINDER)
    assert world.log[reminded + 1].type == ev.MODEL_START


def test_tool_rounds_are_bounded_and_the_bound_is_named() -> None:
    world = World([["allow"]] * 100)
    world.start()
    world.run(500)
    assert world.last_stop() == ev.RETRIES_EXHAUSTED
    assert world.types().count(ev.MODEL_START) == LIMITS.tool_rounds


@pytest.mark.parametrize("attempt", range(1, 8))
def test_a_retry_waits_longer_each_time_but_never_beyond_the_ceiling(attempt: int) -> None:
    failure = Failure("overloaded", "busy", True, 10_000.0, attempt, NOW)
    assert retry_at(failure, LIMITS, "k") - NOW == timedelta(seconds=LIMITS.retry_ceiling)
    wait = retry_at(Failure("overloaded", "busy", True, None, attempt, NOW), LIMITS, "k") - NOW
    assert 0.5 * 2 ** (attempt - 1) <= wait.total_seconds() <= min(60, 2 ** (attempt - 1)) or attempt > 6


def test_a_conversation_is_summarised_before_it_is_too_long_and_not_for_ever() -> None:
    world = World(["overflow", "end"])
    world.start()
    world.run()
    assert world.types().count(ev.COMPACTED) == 1
    assert world.last_stop() == ev.END_TURN
    world = World(["overflow"] * 9)
    world.start()
    world.run()
    assert world.types().count(ev.COMPACTED) == LIMITS.compactions
    assert world.last_stop() == ev.RETRIES_EXHAUSTED


TURN = st.one_of(
    st.sampled_from(["end", "fail", "overflow"]),
    st.lists(st.sampled_from(["allow", "deny", "ask", "custom"]), min_size=1, max_size=4),
)
INPUT = st.sampled_from(["message", "queued", "interrupt", "answer", "crash", "step", "step", "step"])


@settings(max_examples=200, deadline=None)
@given(script=st.lists(TURN, max_size=8), inputs=st.lists(INPUT, max_size=25))
def test_whatever_happens_every_call_gets_one_result_and_every_request_one_end(
    script: list[Any], inputs: list[str]
) -> None:
    world = World(list(script))
    world.start()
    for kind in inputs:
        happen(world, kind)
    for _ in range(30):
        world.run()
        if not answer_all(world):
            break
    check(world)


def happen(world: World, kind: str) -> None:
    """Something from outside, by the inbox's rules; or one step of the loop; or a worker that died in one."""
    idle = world.state.status == "idle"
    if kind == "message" and idle and not world.state.calls:
        world.start("next")
    elif kind in ("message", "queued") and not idle:
        world.say("more", queued=True)
    elif kind == "interrupt" and not idle:
        world.add(ev.USER_INTERRUPT, processed_at=None)
    elif kind == "answer":
        answer_all(world)
    elif kind == "crash" and world.state.status == "running" and world.state.asked and not world.state.open_request:
        world.add(ev.MODEL_START)
    elif kind == "step":
        for action in decide(world.state, LIMITS, world.now):
            world.perform(action)


def answer_all(world: World) -> bool:
    waiting = [call for call in world.state.calls.values() if call.verdict == "ask"]
    for call in waiting:
        if call.type == ev.CUSTOM_TOOL_USE:
            world.add(ev.USER_CUSTOM_TOOL_RESULT, {"custom_tool_use_id": call.id, "content": []})
        else:
            world.add(ev.USER_TOOL_CONFIRMATION, {"tool_use_id": call.id, "result": "allow"})
    if waiting and world.state.status == "idle":
        world.add(ev.THREAD_RUNNING, ABOUT)
    return bool(waiting)


def check(world: World) -> None:
    assert world.state.status == "idle"
    assert not world.state.calls
    assert not world.state.queue
    calls = [entry.id for entry in world.log if entry.type in ev.CALLS]
    results = [entry.payload[ev.CALL_ID_FIELD[entry.type]] for entry in world.log if entry.type in ev.RESULTS]
    assert sorted(calls) == sorted(results)
    starts = [entry.id for entry in world.log if entry.type == ev.MODEL_START]
    ends = [entry.payload["model_request_start_id"] for entry in world.log if entry.type == ev.MODEL_END]
    assert starts == ends
    roles = [message["role"] for message in world.prompt.messages]
    assert roles[:1] == ["user"]
    assert all(pair != ("user", "user") for pair in itertools.pairwise(roles))
    for message, following in itertools.pairwise(world.prompt.messages):
        uses = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        answers = [block["tool_use_id"] for block in following["content"] if block["type"] == "tool_result"]
        if message["role"] == "assistant":
            assert uses == answers


def test_old_results_leave_a_long_prompt_all_at_once_and_the_latest_stay() -> None:
    world = World([["allow"]] * 30)
    world.start()
    world.run()
    for entry in world.log:
        if entry.type == ev.TOOL_RESULT:
            entry.payload["content"] = [{"type": "text", "text": "line\n" * 100}]
    state, prompt = ThreadState("sthr_1"), Prompt(lambda block: block)
    for entry in world.log[:-1]:
        state.advance(entry)
        prompt.advance(entry)
    state.asked, state.context_tokens = True, LIMITS.clear_at
    assert decide(state, LIMITS, NOW) == [do.ClearResults(30)]
    cleared = Entry("sevt_clear", 1000, ev.OPS_CLEARED, {"results": 30})
    state.advance(cleared)
    prompt.advance(cleared)
    texts = [block["content"][0]["text"] for message in prompt.messages for block in message["content"]
             if block["type"] == "tool_result"]  # fmt: skip
    assert [text.startswith("line") for text in texts] == [False] * 20 + [True] * 10
    assert decide(state, LIMITS, NOW) == [do.CallModel()]


def test_what_an_operator_holds_waits_between_two_steps_and_loses_nothing() -> None:
    world = World(script=[["allow"], "end"])
    world.start()
    world.perform(decide(world.state, LIMITS, world.now)[0])
    world.add(ev.OPS_PAUSED, {"by": "ada"})
    assert decide(world.state, LIMITS, world.now) == [do.Finish(ev.paused("ada"))]
    world.idle(ev.paused("ada"))
    assert decide(world.state, LIMITS, world.now) == []
    world.add(ev.OPS_RESUMED, {"by": "ada"})
    world.add(ev.THREAD_RUNNING, ABOUT)
    assert [type(action) for action in decide(world.state, LIMITS, world.now)] == [do.RunTool]
    world.run()
    assert world.log[-1].payload["stop_reason"] == ev.END_TURN
