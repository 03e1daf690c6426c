"""The work queue of self_hosted environments (spec advanced 16): claims, leases, keys, and who may call what."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from agents.models import Environment
from contract.acting import Acting
from contract.roles import Role
from sessions import events as ev
from sessions import log
from sessions.events import Draft
from sessions.models import EnvironmentKey, Event, Session, Thread, Work, WorkerSeen
from sessions.work import keys, queue
from tests.api.conftest import Caller, fits

HELLO = {"type": "user.message", "content": [{"type": "text", "text": "hello"}]}
WORK = "environments.beta_self_hosted_work.BetaSelfHostedWork"
BEAT = "environments.beta_self_hosted_work_heartbeat_response.BetaSelfHostedWorkHeartbeatResponse"
STATS = "environments.beta_self_hosted_work_queue_stats.BetaSelfHostedWorkQueueStats"


@pytest.fixture
def outside(alice: Caller) -> str:
    made: str = alice.post("/environments", {"name": "Ours", "config": {"type": "self_hosted"}})["id"]
    return made


@pytest.fixture
def worker(alice: Caller, outside: str) -> Caller:
    key = alice.post(f"/x/environments/{outside}/keys", {"name": "rack 1"})["key"]
    return Caller(key, alice.acting)


@pytest.fixture
def waiting(alice: Caller, agent: str, outside: str) -> str:
    """A session that was asked something."""
    made: str = alice.post("/sessions", {"agent": agent, "environment_id": outside})["id"]
    alice.post(f"/sessions/{made}/events", {"events": [HELLO]})
    return made


def claim(worker: Caller, environment: str) -> tuple[dict[str, Any], Caller]:
    """Poll and acknowledge; the item, and a caller that holds its sessions token."""
    item = worker.send("GET", f"/environments/{environment}/work/poll", **{"anthropic-worker-id": "w1"}).json()
    worker.post(f"/environments/{environment}/work/{item['id']}/ack")
    return item, Caller(token_in(item), worker.acting)


def token_in(item: dict[str, Any]) -> str:
    secret = item["secret"]
    token: str = json.loads(base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4)))["sessions_token"]
    return token


def call_of(session_id: str, *, ask: bool = False) -> str:
    """A bash call that waits for its worker, as the loop leaves it on the log."""
    thread = Thread.objects.get(session_id=session_id, parent=None)
    permission = "ask" if ask else "allow"
    payload = {"name": "bash", "input": {"command": "ls"}, "evaluated_permission": permission}
    about = {"session_thread_id": thread.pk, "agent_name": thread.agent_name, "stop_details": None}
    (call,) = log.append(session_id, thread.pk, [Draft(ev.TOOL_USE, payload, private={"outside": True})])
    stop = ev.requires_action([call.pk])
    log.append(session_id, thread.pk, [Draft(ev.THREAD_IDLE, {**about, "stop_reason": stop})])
    return call.pk


def beat(caller: Caller, environment: str, work_id: str, expected: str) -> Any:
    path = f"/environments/{environment}/work/{work_id}/heartbeat?expected_last_heartbeat={expected}"
    return caller.send("POST", path.replace("+", "%2B"))


def result(call_id: str, text: str = "done") -> dict[str, Any]:
    return {"type": "user.tool_result", "tool_use_id": call_id, "content": [{"type": "text", "text": text}]}


def test_an_idle_poll_is_a_null(worker: Caller, outside: str) -> None:
    answer = worker.send("GET", f"/environments/{outside}/work/poll?block_ms=1")
    assert (answer.status_code, answer.content) == (200, b"null")
    for bad in (0, 1000):
        assert worker.refused("GET", f"/environments/{outside}/work/poll?block_ms={bad}").status == 400


def test_an_items_life_from_queue_to_stop(alice: Caller, worker: Caller, outside: str, waiting: str) -> None:
    stats = alice.get(f"/environments/{outside}/work/stats")
    fits(STATS, stats)
    assert (stats["depth"], stats["pending"], stats["workers_polling"]) == (1, 0, 0)
    item, held = claim(worker, outside)
    fits(WORK, item)
    assert (item["state"], item["data"]) == ("queued", {"type": "session", "id": waiting})
    assert worker.send("GET", f"/environments/{outside}/work/poll").json() is None
    first = beat(held, outside, item["id"], "NO_HEARTBEAT").json()
    fits(BEAT, first)
    assert (first["state"], first["lease_extended"], first["ttl_seconds"]) == ("active", True, 60)
    second = beat(held, outside, item["id"], first["last_heartbeat"]).json()
    assert second["last_heartbeat"] != first["last_heartbeat"]
    assert worker.get(f"/environments/{outside}/work/stats")["workers_polling"] == 1
    (listed,) = worker.get(f"/environments/{outside}/work")["data"]
    assert (listed["state"], listed["secret"]) == ("active", None)
    assert alice.get(f"/environments/{outside}/work/{item['id']}")["latest_heartbeat_at"] == second["last_heartbeat"]
    asked = alice.post(f"/environments/{outside}/work/{item['id']}/stop")
    assert asked["state"] == "stopping"
    told = beat(held, outside, item["id"], "anything").json()
    assert (told["state"], told["lease_extended"]) == ("stopping", False)
    assert held.ok("POST", f"/environments/{outside}/work/{item['id']}/stop", {"force": True})["state"] == "stopped"
    again = alice.send("POST", f"/environments/{outside}/work/{item['id']}/stop")
    assert (again.status_code, again["x-should-retry"]) == (409, "false")


def test_a_heartbeat_that_does_not_follow_the_last_is_a_412(worker: Caller, outside: str, waiting: str) -> None:
    item, held = claim(worker, outside)
    last = beat(held, outside, item["id"], "NO_HEARTBEAT").json()["last_heartbeat"]
    for wrong in ("NO_HEARTBEAT", "2026-01-01T00:00:00.000000+00:00"):
        refused = beat(held, outside, item["id"], wrong)
        details = refused.json()["error"]["details"]
        assert (refused.status_code, details["error_code"]) == (412, "heartbeat_precondition_failed")
        assert details["current_state"]["last_heartbeat"] == last
        assert details["current_state"]["lease_extended"] is False


def test_a_worker_that_dies_between_claim_and_ack_loses_the_item_soon(
    worker: Caller, outside: str, waiting: str
) -> None:
    poll = f"/environments/{outside}/work/poll"
    first = worker.send("GET", poll).json()
    assert worker.send("GET", poll).json() is None
    Work.objects.update(claimed_at=timezone.now() - timedelta(seconds=6))
    second = worker.send("GET", poll).json()
    assert second["id"] == first["id"]
    assert Caller(token_in(first), worker.acting).refused("GET", f"/sessions/{waiting}").status == 401


def test_a_worker_that_falls_silent_is_replaced_and_the_timeline_says_why(
    alice: Caller, worker: Caller, outside: str, waiting: str
) -> None:
    item, held = claim(worker, outside)
    beat(held, outside, item["id"], "NO_HEARTBEAT")
    call = call_of(waiting)
    Work.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert queue.reclaim() == 1
    lost = Event.objects.get(session_id=waiting, type=ev.OPS_OUTSIDE_LOST)
    assert "no heartbeat for 60 seconds" in lost.payload["cause"]
    assert "queued again" in lost.payload["retry"]
    assert "runs again" in lost.payload["retry"]
    assert lost.payload["worker"] == "w1"
    assert beat(held, outside, item["id"], "NO_HEARTBEAT").status_code == 401
    assert held.refused("POST", f"/sessions/{waiting}/events", {"events": [result(call)]}).status == 401
    other, theirs = claim(worker, outside)
    assert other["id"] == item["id"]
    theirs.post(f"/sessions/{waiting}/events", {"events": [result(call)]})
    twice = theirs.refused("POST", f"/sessions/{waiting}/events", {"events": [result(call, "again")]})
    assert (twice.status, "doesn't wait for a result" in twice.message) == (400, True)
    assert Event.objects.filter(session_id=waiting, type=ev.USER_TOOL_RESULT).count() == 1


def test_a_result_lets_the_session_go_on(alice: Caller, waiting: str) -> None:
    call = call_of(waiting)
    alice.post(f"/sessions/{waiting}/events", {"events": [result(call)]})
    assert alice.get(f"/sessions/{waiting}")["status"] == "running"


def test_a_gated_call_waits_for_a_person_first_and_for_its_worker_then(alice: Caller, waiting: str) -> None:
    call = call_of(waiting, ask=True)
    assert alice.refused("POST", f"/sessions/{waiting}/events", {"events": [result(call)]}).status == 400
    allow = {"type": "user.tool_confirmation", "tool_use_id": call, "result": "allow"}
    alice.post(f"/sessions/{waiting}/events", {"events": [allow]})
    shown = alice.get(f"/sessions/{waiting}")
    assert shown["status"] == "idle"
    assert Thread.objects.get(session_id=waiting).pending == [{"id": call, "kind": "result"}]
    alice.post(f"/sessions/{waiting}/events", {"events": [result(call)]})
    assert alice.get(f"/sessions/{waiting}")["status"] == "running"


def test_an_interrupt_closes_calls_so_that_no_worker_runs_them_later(alice: Caller, waiting: str) -> None:
    call = call_of(waiting)
    alice.post(f"/sessions/{waiting}/events", {"events": [{"type": "user.interrupt"}]})
    closed = Event.objects.get(session_id=waiting, type=ev.USER_TOOL_RESULT)
    assert (closed.payload["tool_use_id"], closed.payload["is_error"]) == (call, True)


def test_a_worker_that_lets_go_with_calls_open_is_followed_by_another_a_little_later(
    worker: Caller, outside: str, waiting: str
) -> None:
    item, held = claim(worker, outside)
    call_of(waiting)
    held.ok("POST", f"/environments/{outside}/work/{item['id']}/stop", {"force": True})
    fresh = Work.objects.exclude(pk=item["id"]).get()
    assert (fresh.state, fresh.attempt) == ("queued", 1)
    assert fresh.available_at > timezone.now()
    assert Event.objects.filter(session_id=waiting, type=ev.OPS_OUTSIDE_LOST).exists()


def test_one_live_item_a_session_and_none_elsewhere(
    alice: Caller, agent: str, environment: str, outside: str, waiting: str
) -> None:
    queue.ensure(waiting)
    assert Work.objects.count() == 1
    cloud = alice.post("/sessions", {"agent": agent, "environment_id": environment, "initial_events": [HELLO]})
    queue.ensure(cloud["id"])
    assert Work.objects.count() == 1
    Work.objects.update(state="stopped")
    call_of(waiting)
    Work.objects.exclude(state="stopped").delete()
    queue.mend()
    assert Work.objects.exclude(state="stopped").count() == 1


def test_items_that_ended_and_workers_that_went_are_forgotten_after_a_month_a_few_at_a_time(
    outside: str, waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Work.objects.get()
    now = timezone.now()
    for name, days in (("oldest", 33), ("older", 32), ("old", 31), ("here", 0)):
        then = now - timedelta(days=days)
        WorkerSeen.objects.create(environment_id=outside, worker=name, polled_at=then)
        ended: Any = {"state": "stopped", "stopped_at": then, "worker": name}
        Work.objects.create(environment_id=outside, session_id=waiting, available_at=now, created_at=then, **ended)
    Work.objects.filter(pk=live.pk).update(created_at=now - timedelta(days=90))
    monkeypatch.setattr(queue, "FORGOTTEN", 2)
    queue.forget()
    assert set(Work.objects.values_list("worker", flat=True)) == {"", "old", "here"}
    assert set(WorkerSeen.objects.values_list("worker", flat=True)) == {"old", "here"}
    queue.forget()
    assert set(Work.objects.values_list("worker", flat=True)) == {"", "here"}
    assert set(WorkerSeen.objects.values_list("worker", flat=True)) == {"here"}


ALLOWED = [
    ("GET", "/sessions/{session}"),
    ("GET", "/sessions/{session}/events?limit=1000"),
]
REFUSED = [
    ("GET", "/agents"),
    ("GET", "/sessions"),
    ("POST", "/sessions"),
    ("POST", "/sessions/{session}"),
    ("DELETE", "/sessions/{session}"),
    ("GET", "/vaults"),
    ("GET", "/environments/{environment}/work/{work}"),
    ("POST", "/environments/{environment}/work/{work}"),
    ("POST", "/x/environments/{environment}/keys"),
]


@pytest.mark.parametrize("who", ["key", "token"])
def test_a_worker_may_call_what_it_needs_and_nothing_else(
    alice: Caller, worker: Caller, outside: str, waiting: str, who: str
) -> None:
    item, held = claim(worker, outside)
    caller = worker if who == "key" else held
    named = {"session": waiting, "environment": outside, "work": item["id"]}
    for method, path in ALLOWED:
        assert caller.send(method, path.format(**named)).status_code == 200, path
    for method, path in REFUSED:
        assert caller.refused(method, path.format(**named), {}).status == 403, path


@pytest.mark.parametrize("who", ["key", "token"])
def test_a_worker_hands_in_results_but_neither_speaks_for_people_nor_approves(
    alice: Caller, worker: Caller, outside: str, waiting: str, who: str
) -> None:
    _, held = claim(worker, outside)
    caller, path = (worker if who == "key" else held), f"/sessions/{waiting}/events"
    call = call_of(waiting, ask=True)
    allow = {"type": "user.tool_confirmation", "tool_use_id": call, "result": "allow"}
    for events in ([allow], [{"type": "user.interrupt"}], [{"type": "user.interrupt"}, HELLO], [allow, result(call)]):
        told = caller.refused("POST", path, {"events": events})
        assert told.status == 403
        assert "events.0.type" in told.message
    assert Thread.objects.get(session_id=waiting).pending[0]["id"] == call
    alice.post(path, {"events": [allow]})
    caller.post(path, {"events": [result(call)]})
    assert alice.get(f"/sessions/{waiting}")["status"] == "running"


def test_workers_of_one_environment_see_nothing_of_another(
    alice: Caller, worker: Caller, agent: str, outside: str, waiting: str
) -> None:
    _, held = claim(worker, outside)
    other = alice.post("/environments", {"name": "Other", "config": {"type": "self_hosted"}})["id"]
    theirs = alice.post("/sessions", {"agent": agent, "environment_id": other, "initial_events": [HELLO]})["id"]
    assert worker.refused("GET", f"/environments/{other}/work/poll").status == 403
    assert worker.refused("GET", f"/sessions/{theirs}").status == 404
    assert held.refused("GET", f"/sessions/{theirs}").status == 403
    call = call_of(theirs)
    assert held.refused("POST", f"/sessions/{theirs}/events", {"events": [result(call)]}).status == 403
    their_item = Work.objects.get(session_id=theirs).pk
    assert held.refused("POST", f"/environments/{other}/work/{their_item}/heartbeat").status == 403
    assert alice.refused("GET", f"/environments/{outside}/work").status == 403


def test_keys_expire_and_are_revoked_at_once(alice: Caller, charlie: Caller, outside: str) -> None:
    made = alice.post(f"/x/environments/{outside}/keys", {"name": "w"})
    assert made["key"].startswith("sk-ant-oat01-")
    caller = Caller(made["key"], alice.acting)
    assert caller.send("GET", f"/environments/{outside}/work/poll").status_code == 200
    assert charlie.refused("POST", f"/x/environments/{outside}/keys/{made['id']}/revoke").status == 404
    other = alice.post("/environments", {"name": "Other", "config": {"type": "self_hosted"}})["id"]
    assert alice.refused("POST", f"/x/environments/{other}/keys/{made['id']}/revoke").status == 404
    alice.post(f"/x/environments/{outside}/keys/{made['id']}/revoke")
    assert caller.refused("GET", f"/environments/{outside}/work/poll").status == 401
    second = alice.post(f"/x/environments/{outside}/keys", {"name": "w"})
    EnvironmentKey.objects.filter(pk=second["id"]).update(expires_at=timezone.now() - timedelta(seconds=1))
    expired = Caller(second["key"], alice.acting)
    assert "expired" in expired.refused("GET", f"/environments/{outside}/work/poll").message
    listed = alice.get(f"/x/environments/{outside}/keys")["data"]
    assert [key["hint"] for key in listed] == [second["key"][-4:], made["key"][-4:]]
    assert all("key" not in key for key in listed)


def test_a_cloud_environment_has_neither_queue_nor_keys(alice: Caller, environment: str) -> None:
    assert alice.refused("GET", f"/environments/{environment}/work/poll").status == 400
    assert alice.refused("POST", f"/x/environments/{environment}/keys", {"name": "w"}).status == 400


def test_metadata_of_an_item_is_merged(alice: Caller, outside: str, waiting: str) -> None:
    work = Work.objects.get(session_id=waiting)
    path = f"/environments/{outside}/work/{work.pk}"
    assert alice.post(path, {"metadata": {"rack": "7"}})["metadata"] == {"rack": "7"}
    assert alice.post(path, {"metadata": {"rack": None}})["metadata"] == {}
    assert alice.refused("POST", path, {}).status == 400


def test_a_stream_ends_when_its_worker_is_no_longer_one(outside: str, worker: Caller, waiting: str) -> None:
    item, held = claim(worker, outside)
    acting = Acting("w", Role.OPERATOR, "w", work_id=item["id"], token_digest=keys.digest(held.key))
    assert keys.still_valid(acting)
    Work.objects.update(token_digest="")
    assert not keys.still_valid(acting)
    assert Session.objects.filter(pk=waiting, environment=Environment.objects.get(pk=outside)).exists()
