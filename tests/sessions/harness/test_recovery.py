"""What goes wrong besides death: models that fail for good, rows edited by hand, clocks, events of a newer version."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.db.models.expressions import RawSQL
from django.utils import timezone

from agents import actions as agents
from agents.providers.base import ModelReply, ModelRequest, ProviderError, Usage
from contract.acting import Acting
from contract.errors import InvalidRequest
from contract.roles import Role
from sessions import actions, log
from sessions import events as ev
from sessions.events import Draft
from sessions.harness import runner
from sessions.harness.lease import Lease, free_orphans
from sessions.models import Event, Session, Thread
from sessions.repair import repair
from sessions.sweeper import Sweeper
from sessions.tasks import run_thread
from sessions.verify import verify
from tests.sessions.harness.test_loop import ask, say
from tests.sessions.rows import acting, make_session

if TYPE_CHECKING:
    from agents.providers.base import OnPart, ShouldStop
    from sessions.harness.lease import Keeper

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


class Models:
    """Providers by model id: those named fail so many times, the others answer."""

    name = "models"

    def __init__(self, failures: dict[str, int], *, retryable: bool = False) -> None:
        self.failures, self.retryable = failures, retryable
        self.asked: list[str] = []

    def compact(self, request: ModelRequest, on_part: OnPart, should_stop: ShouldStop) -> ModelReply | None:
        return None

    def stream(self, request: ModelRequest, on_part: OnPart, should_stop: ShouldStop) -> ModelReply:
        self.asked.append(request.model)
        if self.failures.get(request.model, 0) > 0:
            self.failures[request.model] -= 1
            raise ProviderError("overloaded", f"{request.model} is busy.", retryable=self.retryable)
        return ModelReply(request.model, [{"type": "text", "text": "done"}], "end_turn", Usage(1, 1))

    def models(self) -> list[Any]:
        return []


def noted(session: Session, event_type: str) -> list[dict[str, Any]]:
    return [event.payload for event in log.read(session.id) if event.type == event_type]


def with_fallbacks(monkeypatch: pytest.MonkeyPatch, models: Models, *names: str) -> tuple[Session, Thread]:
    monkeypatch.setattr("sessions.harness.spec.provider", lambda *_: models)
    first, _ = make_session(model="demo-a")
    admin = Acting(first.workspace_id, Role.ADMIN, "Ada")
    agents.update_agent(first.agent_id, {"holdfast": {"fallback_models": list(names)}}, admin)
    session = actions.create_session({"agent": first.agent_id, "environment_id": first.environment_id}, admin)
    return session, session.threads.get()


def test_the_next_model_of_the_chain_answers_when_one_has_failed_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    models = Models({"demo-a": 1, "demo-b": 1})
    session, thread = with_fallbacks(monkeypatch, models, "demo-b", "demo-c")
    ask(session, thread, "hello")
    assert session.stop_reason == ev.END_TURN
    assert models.asked == ["demo-a", "demo-b", "demo-c"]
    assert [(note["from"], note["to"]) for note in noted(session, ev.OPS_FALLBACK)] == [
        ("demo-a", "demo-b"),
        ("demo-b", "demo-c"),
    ]
    ask(session, thread, "again")
    assert models.asked[3:] == ["demo-a"], "a new turn begins with the agent's own model"


def test_a_chain_that_fails_to_its_end_gives_up_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    session, thread = with_fallbacks(monkeypatch, Models({"demo-a": 9, "demo-b": 9}), "demo-b")
    ask(session, thread, "hello")
    assert session.stop_reason == ev.RETRIES_EXHAUSTED
    statuses = [note["error"]["retry_status"]["type"] for note in noted(session, ev.SESSION_ERROR)]
    assert statuses == ["retrying", "exhausted"]


def test_a_retry_is_told_in_numbers_that_a_person_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    models = Models({"demo": 2}, retryable=True)
    monkeypatch.setattr("sessions.harness.spec.provider", lambda *_: models)
    session, thread = make_session()
    ask(session, thread, "hello")
    told = noted(session, ev.OPS_RETRY)
    assert [(note["attempt"], note["of"]) for note in told] == [(2, 6), (3, 6)]
    assert {note["kind"] for note in told} == {"overloaded"}
    assert all(note["seconds"] >= 0 for note in told)


def test_a_turn_that_gave_up_is_tried_again_at_a_person_s_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    models = Models({"demo": 1})
    monkeypatch.setattr("sessions.harness.spec.provider", lambda *_: models)
    session, thread = make_session()
    ask(session, thread, "hello")
    assert session.stop_reason == ev.RETRIES_EXHAUSTED
    actions.retry_session(session.pk, acting(session.workspace))
    runner.run(thread.id)
    session.refresh_from_db()
    assert session.stop_reason == ev.END_TURN
    assert verify(session) == []
    with pytest.raises(InvalidRequest, match="no turn that gave up"):
        actions.retry_session(session.pk, acting(session.workspace))


def test_a_session_that_kills_its_workers_rests_with_the_reason(worker: Keeper) -> None:
    session, thread = make_session()
    say(session, "hello")
    for _ in range(20):
        lease = worker.claim(thread.id)
        assert lease is not None
        log.append(session.pk, thread.id, [Draft(ev.OPS_TAKEN_OVER, {"from": "dead", "by": "dying"})], lease=lease)
        worker.release(lease, clean=False)
    Thread.objects.filter(pk=thread.id).update(lease_owner="")
    runner.run(thread.id)
    session.refresh_from_db()
    assert session.stop_reason == ev.RETRIES_EXHAUSTED
    assert "20 workers in a row died" in noted(session, ev.OPS_PARKED)[0]["reason"]
    assert verify(session) == []


@pytest.mark.parametrize(
    "edit",
    [
        {"status": "running"},
        {"status": "idle", "usage": {"input_tokens": 5}},
        {"last_seq": 2},
        {"pending_count": 7, "cost": 12},
    ],
)
def test_a_session_row_edited_by_hand_is_repaired_loudly(edit: dict[str, Any]) -> None:
    session, thread = make_session()
    ask(session, thread, "hello")
    Session.objects.filter(pk=session.pk).update(**edit)
    session.refresh_from_db()
    assert verify(session) != []
    assert repair(session.pk) != []
    session.refresh_from_db()
    assert verify(session) == []
    assert noted(session, ev.OPS_REPAIRED)
    assert repair(session.pk) == []


def test_verify_tells_of_a_row_edited_by_hand_and_repairs_it_when_told_to() -> None:
    session, thread = make_session()
    ask(session, thread, "hello")
    Session.objects.filter(pk=session.pk).update(active_seconds=-5, pending_count=9)
    with pytest.raises(CommandError, match=r"1 of 1 sessions disagree with their log\. With --repair"):
        call_command("verify", session.pk, stderr=io.StringIO())
    told = io.StringIO()
    call_command("verify", session.pk, "--repair", stdout=told, stderr=io.StringIO())
    assert f"{session.pk}: repaired." in told.getvalue()
    assert noted(session, ev.OPS_REPAIRED)
    call_command("verify", session.pk, stdout=io.StringIO())


@pytest.mark.parametrize(
    "edit",
    [
        {"status": "banana"},
        {"usage": []},
        {"usage": {"steps": "many"}},
        {"agent_snapshot": []},
        {"agent_snapshot": {}},
        {"limits": [1]},
        {"limits": {"steps": "x"}},
        {"limits": {"list_cost": "x"}},
        {"limits": {"list_cost": {"amount": 5}}},
        {"metadata": []},
        {"vault_ids": {}},
        {"permission_rules": {}},
        {"stop_reason": "idle"},
        {"stop_reason": {}},
        {"budget": 5},
        {"budget": {}},
        {"budget": {"max_list_cost": {"amount": "x"}}},
        {"cost": RawSQL("'NaN'::numeric", [])},
        {"active_seconds": float("nan")},
        {"active_seconds": float("inf")},
    ],
)
def test_what_nobody_could_read_in_a_row_is_refused_by_the_database(edit: dict[str, Any]) -> None:
    session, thread = make_session()
    say(session, "hello")
    with pytest.raises(IntegrityError):
        Session.objects.filter(pk=session.pk).update(**edit)
    if edit.keys() & {"status", "usage", "stop_reason", "cost", "active_seconds"}:
        with pytest.raises(IntegrityError):
            Thread.objects.filter(pk=thread.pk).update(**edit)
    with pytest.raises(IntegrityError):
        Event.objects.filter(session=session).update(payload=[])


def test_what_sessions_hold_is_no_trouble_to_the_database() -> None:
    session, _thread = make_session()
    cost = {"amount": "250", "currency": "USD"}
    limits = {"steps": 5, "list_cost": cost}
    Session.objects.filter(pk=session.pk).update(limits=limits, budget={"max_list_cost": cost}, stop_reason=ev.END_TURN)
    Session.objects.filter(pk=session.pk).update(limits={"tokens": 7}, budget=None, stop_reason=None)


def _restored_without_checks() -> None:
    """As a dump that was restored without its guards: what they refuse may be there."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE agent_sessions_session DISABLE TRIGGER session_projected")


def test_figures_that_are_no_numbers_stop_neither_a_turn_nor_a_message() -> None:
    session, thread = make_session()
    _restored_without_checks()
    say(session, "hello")
    Session.objects.filter(pk=session.pk).update(usage={"steps": "many"})
    runner.run(thread.id)
    runner.run(thread.id)
    session.refresh_from_db()
    assert session.stop_reason == ev.END_TURN
    assert verify(session) == []
    Session.objects.filter(pk=session.pk).update(usage={"steps": "many"})
    ask(session, thread, "again")
    assert session.stop_reason == ev.END_TURN
    assert len(noted(session, ev.OPS_REPAIRED)) == 2


def test_a_damaged_entry_is_told_and_doesn_t_hide_the_rest() -> None:
    session, thread = make_session()
    ask(session, thread, "hello")
    Event.objects.filter(session=session, type=ev.THREAD_IDLE).update(type=ev.OPS_SNAPSHOT)
    found = verify(session)
    assert any("is damaged and was passed over" in complaint for complaint in found)


def test_the_loop_repairs_a_row_that_refuses_its_appends_and_goes_on() -> None:
    session, thread = make_session()
    ask(session, thread, "hello")
    say(session, "again")
    Session.objects.filter(pk=session.pk).update(last_seq=3)
    runner.run(thread.id)
    runner.run(thread.id)
    session.refresh_from_db()
    assert session.status == "idle"
    assert verify(session) == []


def test_a_message_to_a_row_that_refuses_it_is_taken_after_a_repair() -> None:
    session, thread = make_session()
    ask(session, thread, "hello")
    Session.objects.filter(pk=session.pk).update(last_seq=3)
    ask(session, thread, "again")
    assert session.stop_reason == ev.END_TURN
    assert noted(session, ev.OPS_REPAIRED)


@pytest.mark.parametrize("owner", ["nonsense", "ghost:1:5", "a:b:c", "::", "x:1:99999999999999999999"])
def test_a_lease_that_somebody_wrote_by_hand_is_an_orphan_s_and_stops_no_sweep(owner: str) -> None:
    session, thread = make_session()
    say(session, "hello")
    Thread.objects.filter(pk=thread.id).update(
        lease_owner=owner, lease_expires=timezone.now() + timedelta(hours=1), fence=99
    )
    assert [orphan.thread_id for orphan in free_orphans()] == [thread.id]
    runner.run(thread.id)
    session.refresh_from_db()
    assert session.stop_reason == ev.END_TURN


def test_a_takeover_from_a_worker_found_dead_tells_the_time_since_then_alone(worker: Keeper) -> None:
    session, thread = make_session()
    say(session, "hello")
    lease = worker.claim(thread.id)
    assert lease is not None
    log.append(session.pk, thread.id, [Draft(ev.MODEL_START)], lease=lease)
    Thread.objects.filter(pk=thread.id).update(
        lease_owner="ghost:1:5", lease_expires=timezone.now() + timedelta(hours=1)
    )
    assert Sweeper(lambda: False).sweep() == [thread.id]
    runner.run(thread.id)
    (taken,) = noted(session, ev.OPS_TAKEN_OVER)
    assert taken["seconds"] is not None
    assert taken["silent_seconds"] is None


def test_a_thread_said_to_run_by_hand_alone_comes_to_rest() -> None:
    session, thread = make_session()
    ask(session, thread, "hello")
    Thread.objects.filter(pk=thread.id).update(status="running")
    runner.run(thread.id)
    assert Thread.objects.get(pk=thread.id).status == "idle"
    assert noted(session, ev.OPS_REPAIRED)


def test_events_of_a_newer_version_are_passed_over() -> None:
    session, thread = make_session()
    log.append(session.pk, thread.id, [Draft("agent.dance", {"steps": 3}), Draft("ops.unheard_of", {})])
    ask(session, thread, "hello")
    assert session.stop_reason == ev.END_TURN


def test_an_older_worker_takes_a_turn_of_a_newer_one_up_in_the_middle(worker: Keeper) -> None:
    """Types, fields and blocks that this version doesn't know, written by a newer worker that died in a turn."""
    session, thread = make_session()
    say(session, "hello")
    lease = worker.claim(thread.id)
    assert lease is not None
    unknown = {"aura": {"colour": "teal"}}
    block = {"type": "hologram", "data": "…"}
    newer = [
        Draft(ev.OPS_TAKEN_OVER, {"from": "a", "by": "b", **unknown}),
        Draft("ops.rehearsed", unknown),
        Draft(ev.MODEL_START, {**unknown}, id="sevt_newer"),
        Draft(ev.AGENT_MESSAGE, {"content": [{"type": "text", "text": "half", **unknown}, block], **unknown}),
        Draft("agent.dance", {"steps": 3}, private={"usage": {"output_tokens": 1, "dance_tokens": 2}, "cost": "0"}),
    ]
    log.append(session.pk, thread.id, newer, lease=lease)
    worker.release(lease, clean=False)
    runner.run(thread.id)
    session.refresh_from_db()
    assert session.stop_reason == ev.END_TURN
    assert noted(session, ev.OPS_PARKED) == noted(session, ev.OPS_FAILED) == []
    assert verify(session) == []


@pytest.mark.parametrize(
    "poison", ["", "sthr_nothing", "x" * 10_000, "'; DROP TABLE agent_sessions_thread; --", "\u2603"]
)
def test_task_messages_that_name_nothing_do_nothing(poison: str) -> None:
    run_thread(poison)
    assert Thread.objects.count() == 0


def test_a_worker_s_own_clock_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    lease = Lease("sthr_1", "sesn_1", 1, "", None, (datetime(2031, 5, 1, tzinfo=UTC), 100.0))
    monkeypatch.setattr("sessions.harness.lease.time.monotonic", lambda: 103.5)
    assert lease.now() == datetime(2031, 5, 1, 0, 0, 3, 500_000, tzinfo=UTC)


def test_a_clock_of_the_database_that_steps_back_leaves_the_log_in_order() -> None:
    session, thread = make_session()
    ahead = timezone.now() + timedelta(hours=1)
    Session.objects.filter(pk=session.pk).update(updated_at=ahead)
    ask(session, thread, "hello")
    moments = [event.created_at for event in log.read(session.pk)]
    assert moments == sorted(moments)
    assert moments[0] >= ahead


def test_a_turn_that_fails_the_same_way_three_times_rests_until_a_person_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session, thread = make_session()
    models = Models({})
    say(session, "hello")
    with monkeypatch.context() as broken:
        broken.setattr("sessions.harness.spec.provider", lambda *_: models)
        broken.setattr(models, "stream", lambda *_: 1 / 0)
        for attempt in range(3):
            assert Thread.objects.get(pk=thread.id).status == "running", attempt
            runner.run(thread.id)
    session.refresh_from_db()
    assert session.stop_reason == ev.RETRIES_EXHAUSTED
    assert [note["times"] for note in noted(session, ev.OPS_FAILED)] == [1, 2, 3]
    (parked,) = noted(session, ev.OPS_PARKED)
    assert "ZeroDivisionError" in parked["reason"]
    actions.retry_session(session.pk, Acting(session.workspace_id, Role.ADMIN, "Ada"))
    runner.run(thread.id)
    session.refresh_from_db()
    assert session.stop_reason == ev.END_TURN
    assert verify(session) == []
