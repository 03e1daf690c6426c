"""The loop with the demo model, a real database and no sandbox: messages, custom tools, retries, takeovers."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from agents.providers.base import ModelReply, ModelRequest, ProviderError, StreamPart, Usage
from contract.errors import InvalidRequest
from credentials.crypto import CannotOpen
from sessions import budgets, inbox, log
from sessions import events as ev
from sessions.harness import runner
from sessions.harness.effects import Effects
from sessions.models import Event, Session, Thread
from sessions.projections import operations
from sessions.verify import verify
from tests.sessions.rows import CUSTOM, acting, make_session

if TYPE_CHECKING:
    from agents.providers.base import OnPart, ShouldStop
    from sessions.events import Draft
    from sessions.harness.lease import Keeper

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]

Running = tuple[Session, Thread]


def send(session: Session, *events: dict[str, Any]) -> list[Event]:
    return inbox.send(session, events, acting(session.workspace))


def say(session: Session, text: str) -> None:
    send(session, {"type": ev.USER_MESSAGE, "content": [{"type": "text", "text": text}]})


def types(session: Session) -> list[str]:
    return [event.type for event in log.read(session.id) if not ev.is_ops(event.type)]


def ask(session: Session, thread: Thread, text: str) -> list[str]:
    """Say something, run the loop to rest, and return the types of all events so far."""
    say(session, text)
    runner.run(thread.id)
    session.refresh_from_db()
    assert verify(session) == []
    return types(session)


def test_a_turn_leaves_the_documented_events_in_the_documented_order() -> None:
    session, thread = make_session()
    assert ask(session, thread, "[[demo: think]] hello") == [
        ev.USER_MESSAGE,
        ev.STATUS_RUNNING,
        ev.THREAD_RUNNING,
        ev.MODEL_START,
        ev.AGENT_THINKING,
        ev.AGENT_MESSAGE,
        ev.MODEL_END,
        ev.THREAD_IDLE,
        ev.SESSION_USAGE,
        ev.STATUS_IDLE,
    ]
    assert session.usage["input_tokens"] + session.usage["cache_creation_5m"] > 0
    assert session.stop_reason == ev.END_TURN


def test_a_custom_tool_waits_for_its_client_and_its_answer_reaches_the_model() -> None:
    session, thread = make_session(tools=[CUSTOM])
    ask(session, thread, "[[demo: custom=ask_caller]]")
    (pending,) = Thread.objects.get(pk=thread.id).pending
    assert session.stop_reason == ev.requires_action([pending["id"]])
    content = [{"type": "text", "text": "forty-two"}]
    send(session, {"type": ev.USER_CUSTOM_TOOL_RESULT, "custom_tool_use_id": pending["id"], "content": content})
    runner.run(thread.id)
    session.refresh_from_db()
    assert session.stop_reason == ev.END_TURN
    assert verify(session) == []


def test_a_second_message_continues_the_conversation() -> None:
    session, thread = make_session()
    ask(session, thread, "one")
    found = ask(session, thread, "two")
    assert found.count(ev.AGENT_MESSAGE) == 2
    assert found.count(ev.STATUS_RUNNING) == 2


def test_a_call_judged_while_the_rules_change_is_judged_by_the_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    session, thread = make_session()
    rows = Session.objects.filter(pk=session.pk)
    rows.update(permission_rules=[{"effect": "deny", "tool": "bash"}])
    judged: list[bool] = []
    judge = Effects._reply

    def slowly(effects: Effects, *reply: Any, anew: bool) -> list[Draft]:
        drafts = judge(effects, *reply, anew=anew)
        judged.append(anew)
        if not anew:
            rows.update(permission_rules=[{"effect": "ask", "tool": "bash"}])
        return drafts

    monkeypatch.setattr(Effects, "_reply", slowly)
    ask(session, thread, "[[demo: steps=3]]")
    assert judged == [True, False, True]
    calls = [event.payload for event in log.read(session.id) if event.type == ev.TOOL_USE]
    assert [call["evaluated_permission"] for call in calls] == ["deny", "ask"]


def test_a_broken_turn_is_told_and_asked_again() -> None:
    session, thread = make_session()
    found = ask(session, thread, "[[demo: fail=529x2]] hello")
    assert found.count(ev.SESSION_ERROR) == found.count(ev.STATUS_RESCHEDULED) >= 1
    assert found.count(ev.MODEL_START) == found.count(ev.MODEL_END)
    error = next(event for event in log.read(session.id) if event.type == ev.SESSION_ERROR).payload["error"]
    assert error["type"] == "model_overloaded_error"
    assert error["retry_status"] == {"type": "retrying"}
    assert session.stop_reason == ev.END_TURN


def test_a_refusal_ends_with_its_details() -> None:
    session, thread = make_session()
    ask(session, thread, "[[demo: refusal]] hello")
    assert session.stop_reason == {"type": "refusal"}
    idle = next(event for event in log.read(session.id) if event.type == ev.STATUS_IDLE)
    assert idle.payload["stop_details"]["type"] == "refusal"


def test_a_tool_the_agent_does_not_have_is_an_error_the_model_sees() -> None:
    session, thread = make_session(tools=[CUSTOM])
    ask(session, thread, "[[demo: badtool]]")
    result = next(event for event in log.read(session.id) if event.type == ev.TOOL_RESULT)
    assert result.payload["is_error"]
    assert "has been denied" in result.payload["content"][0]["text"]
    assert session.stop_reason == ev.END_TURN


def test_a_successor_takes_over_from_a_worker_that_died_in_a_request(worker: Keeper) -> None:
    session, thread = make_session()
    say(session, "hello")
    lease = worker.claim(thread.id)
    assert lease is not None
    log.append(session.id, thread.id, [ev.Draft(ev.MODEL_START)], lease=lease)
    with connection.cursor() as cursor:  # the worker is gone and its lease has run out
        gone = "lease_owner = 'elsewhere:1:1', lease_expires = now() - interval '1 s'"
        cursor.execute(f"UPDATE agent_sessions_thread SET {gone}")
    runner.run(thread.id)
    session.refresh_from_db()
    found = [event.type for event in log.read(session.id)]
    taken = next(event for event in log.read(session.id) if event.type == ev.OPS_TAKEN_OVER)
    assert 1.0 <= taken.payload["seconds"] <= taken.payload["silent_seconds"]
    assert taken.payload["silent_seconds"] <= taken.payload["seconds"] + worker.ttl
    said = str(operations.sentence(taken.type, taken.payload))
    assert f"not been heard of for {taken.payload['silent_seconds']:.1f} s" in said
    assert found.count(ev.MODEL_START) == found.count(ev.MODEL_END) == 2
    assert session.stop_reason == ev.END_TURN
    assert verify(session) == []


class Gossip:
    """A provider during whose reply something happens."""

    name = "gossip"

    def __init__(self, happening: Any) -> None:
        self.happening = happening
        self.requests: list[ModelRequest] = []

    def compact(self, request: ModelRequest, on_part: OnPart, should_stop: ShouldStop) -> ModelReply | None:
        return None

    def stream(self, request: ModelRequest, on_part: OnPart, should_stop: ShouldStop) -> ModelReply:
        self.requests.append(request)
        if self.happening is not None:
            self.happening, happening = None, self.happening
            happening()
        return ModelReply("demo", [{"type": "text", "text": "done"}], "end_turn", Usage(1, 1))

    def models(self) -> list[Any]:
        return []


def test_a_failure_that_stays_ends_with_a_name_and_the_session_can_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    session, thread = make_session()

    def refuse() -> None:
        raise ProviderError("billing", "Out of credits.", retryable=False)

    gossip = Gossip(refuse)
    monkeypatch.setattr("sessions.harness.spec.provider", lambda *_: gossip)
    ask(session, thread, "hello")
    assert session.stop_reason == ev.RETRIES_EXHAUSTED
    errors = [event.payload["error"] for event in log.read(session.id) if event.type == ev.SESSION_ERROR]
    assert errors == [{"type": "billing_error", "message": "Out of credits.", "retry_status": {"type": "exhausted"}}]
    ask(session, thread, "better now?")
    assert session.stop_reason == ev.END_TURN


def test_a_message_that_arrives_during_the_reply_is_answered_in_the_same_run(monkeypatch: pytest.MonkeyPatch) -> None:
    session, thread = make_session()
    gossip = Gossip(lambda: say(session, "and another thing"))
    monkeypatch.setattr("sessions.harness.spec.provider", lambda *_: gossip)
    found = ask(session, thread, "hello")
    assert found.count(ev.STATUS_IDLE) == 1
    assert found.count(ev.AGENT_MESSAGE) == 2
    assert gossip.requests[1].messages[-1]["content"][-1]["text"] == "and another thing"


def test_an_interrupt_during_the_reply_ends_the_turn_and_the_next_message_starts_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session, thread = make_session()
    message = {"type": ev.USER_MESSAGE, "content": [{"type": "text", "text": "do this instead"}]}
    gossip = Gossip(lambda: send(session, {"type": ev.USER_INTERRUPT}, message))
    monkeypatch.setattr("sessions.harness.spec.provider", lambda *_: gossip)
    found = ask(session, thread, "hello")
    assert found.count(ev.STATUS_IDLE) == 2
    assert found.count(ev.STATUS_RUNNING) == 2
    assert all(event.processed_at for event in log.read(session.id))


def test_an_error_of_our_own_is_told_and_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    session, thread = make_session()

    def fail() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("sessions.harness.spec.provider", lambda *_: Gossip(fail))
    ask(session, thread, "hello")
    for _ in range(2):  # it is taken up again before it is given up
        runner.run(thread.id)
    session.refresh_from_db()
    assert session.stop_reason == ev.RETRIES_EXHAUSTED
    errors = [event.payload["error"] for event in log.read(session.id) if event.type == ev.SESSION_ERROR]
    assert [error["type"] for error in errors] == ["unknown_error"]
    assert "a bug" not in str(errors)


PRICED = "claude-opus-5-5"


class Paced(Gossip):
    """Its server asked somebody else for patience."""

    def stream(self, request: ModelRequest, on_part: OnPart, should_stop: ShouldStop) -> ModelReply:
        on_part(StreamPart("waiting", seconds=12.04))
        on_part(StreamPart("asked"))
        return super().stream(request, on_part, should_stop)


def test_a_request_that_waits_for_its_server_s_pace_says_so_on_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sessions.harness.spec.provider", lambda *_: Paced(None))
    session, thread = make_session()
    ask(session, thread, "hello")
    assert session.stop_reason == ev.END_TURN
    told = list(Event.objects.filter(session=session, type__in=[ev.OPS_PACED, ev.OPS_ASKED]).order_by("seq"))
    assert [(one.type, one.payload) for one in told] == [(ev.OPS_PACED, {"seconds": 12.0}), (ev.OPS_ASKED, {})]
    said = operations.sentence(told[0].type, told[0].payload)
    assert str(said) == "Waits for the model server's pace: it asked for a pause, up to 12 s more"
    assert verify(session) == []


def limit(cents: str) -> dict[str, Any]:
    return {"type": "limit", "max_list_cost": {"amount": cents, "currency": "USD"}}


def model(name: str) -> dict[str, Any]:
    return {"id": name, "effort": None, "speed": "standard", "inference_geo": None}


class Spender(Gossip):
    """First a call, then a text; every reply costs more than a dollar."""

    def __init__(self) -> None:
        super().__init__(None)

    def stream(self, request: ModelRequest, on_part: OnPart, should_stop: ShouldStop) -> ModelReply:
        self.requests.append(request)
        call = {"type": "tool_use", "id": "toolu_1", "name": "ask_caller", "input": {"question": "?"}}
        first = len(self.requests) == 1
        content = [call] if first else [{"type": "text", "text": "done"}]
        return ModelReply(PRICED, content, "tool_use" if first else "end_turn", Usage(1_000_000, 100_000))


def test_a_budget_pauses_between_requests_and_raising_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    session, thread = make_session(tools=[CUSTOM], model=PRICED)
    Session.objects.filter(pk=session.pk).update(budget=limit("100"))
    spender = Spender()
    monkeypatch.setattr("sessions.harness.spec.provider", lambda *_: spender)
    ask(session, thread, "spend")
    (pending,) = Thread.objects.get(pk=thread.id).pending
    assert session.stop_reason == ev.requires_action([pending["id"]]), "requires_action outranks the budget"
    send(session, {"type": ev.USER_CUSTOM_TOOL_RESULT, "custom_tool_use_id": pending["id"], "content": []})
    runner.run(thread.id)
    session.refresh_from_db()
    assert session.stop_reason == ev.BUDGET_REACHED
    assert types(session)[-3:] == [ev.THREAD_IDLE, ev.SESSION_USAGE, ev.STATUS_IDLE]
    with pytest.raises(InvalidRequest, match=r"takes only user\.custom_tool_result"):
        say(session, "more")
    before = types(session)
    assert send(session, {"type": ev.USER_INTERRUPT}) == []
    assert types(session) == before
    assert verify(session) == []
    raised = Session.objects.get(pk=session.pk)
    assert budgets.change(raised, limit("100000")) == limit("100000")
    thread.refresh_from_db()
    raise_it = ev.Draft(ev.SESSION_UPDATED, {"budget": limit("100000")})
    log.append(session.id, thread.id, [raise_it, *budgets.resume(thread)])
    runner.run(thread.id)
    session.refresh_from_db()
    assert session.budget == limit("100000")
    assert session.stop_reason == ev.END_TURN
    assert verify(session) == []


@pytest.mark.parametrize("amount", ["0", "25.00", "-5", "007", "", "１００"])
def test_a_budget_is_whole_cents(amount: str) -> None:
    with pytest.raises(InvalidRequest, match="whole cents"):
        budgets.check(limit(amount), [model(PRICED)])


def test_a_budget_needs_a_price_and_can_only_grow_beyond_what_is_spent() -> None:
    with pytest.raises(InvalidRequest) as caught:
        budgets.check(limit("100"), [model("somebody-elses-model")])
    assert caught.value.details == {"error_code": "model_not_budgetable"}
    session, _ = make_session(model=PRICED)
    with pytest.raises(InvalidRequest) as caught:
        budgets.change(session, limit("100"))
    assert caught.value.details == {"error_code": "budget_create_only"}
    session.budget, session.cost = limit("100"), Decimal("1.5")
    with pytest.raises(InvalidRequest) as caught:
        budgets.change(session, limit("150"))
    assert caught.value.details == {"error_code": "budget_not_raised"}
    assert budgets.change(session, limit("151")) == limit("151")
    assert budgets.change(session, None) is None


def test_a_worker_that_is_to_end_hands_its_turn_over_between_two_steps(
    worker: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    monkeypatch.setattr("sessions.harness.runner.wake", woken.append)
    session, thread = make_session()
    drained = Gossip(worker.drain)
    monkeypatch.setattr("sessions.harness.spec.provider", lambda *_: drained)
    found = ask(session, thread, "hello")
    assert found[-2:] == [ev.AGENT_MESSAGE, ev.MODEL_END], "the reply that was under way is kept"
    assert session.status == "running"
    assert woken == [thread.id]
    monkeypatch.setattr(worker, "draining", False)  # another worker, as far as the thread can tell
    runner.run(thread.id)
    assert len(drained.requests) == 1, "no finished request is asked again"
    assert ev.OPS_TAKEN_OVER not in [event.type for event in log.read(session.id)]
    session.refresh_from_db()
    assert session.stop_reason == ev.END_TURN
    assert verify(session) == []


def test_a_session_that_cannot_be_prepared_rests_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    session, thread = make_session()

    def fail(*details: Any) -> Any:
        raise CannotOpen("The key 'k1' is not in HOLDFAST_KEYS; add it back to read what it sealed.")

    monkeypatch.setattr("sessions.harness.spec.provider", fail)
    ask(session, thread, "hello")
    assert session.stop_reason == ev.RETRIES_EXHAUSTED
    (error,) = [event.payload["error"] for event in log.read(session.id) if event.type == ev.SESSION_ERROR]
    assert "HOLDFAST_KEYS" in error["message"]
    monkeypatch.setattr("sessions.harness.spec.provider", lambda *_: Gossip(None))
    ask(session, thread, "and now?")
    assert session.stop_reason == ev.END_TURN
