"""Webhooks (spec advanced 15): who is told what, signed how, with which patience, and what is refused."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pydantic import TypeAdapter

from contract import happenings
from contract.schema import sdk_type
from sessions import events as ev
from sessions import log
from sessions.events import Draft
from sessions.models import Thread, WebhookDelivery, WebhookEndpoint
from sessions.webhooks import delivery, kinds, outbox
from tests.api.hooks import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.api.conftest import Caller

HELLO = {"type": "user.message", "content": [{"type": "text", "text": "hello"}]}


@pytest.fixture(autouse=True)
def our_network(settings: Any) -> None:
    settings.HOLDFAST_ALLOWED_NETWORKS = ("127.0.0.1",)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.stop()


@pytest.fixture
def hook(alice: Caller, receiver: Receiver) -> dict[str, Any]:
    return alice.post("/x/webhooks", {"url": receiver.url, "enabled_events": sorted(kinds.shapes())})


def told() -> list[str]:
    return list(WebhookDelivery.objects.order_by("created_at", "pk").values_list("event_type", flat=True))


def make_due() -> None:
    WebhookDelivery.objects.filter(state="pending").update(next_attempt_at=timezone.now())


def one(kind: str = "agent.created") -> WebhookDelivery:
    return WebhookDelivery.objects.get(event_type=kind)


@pytest.mark.proves("beta.webhooks.unwrap", "beta.webhooks.parse_unverified")
def test_the_sdk_verifies_and_reads_a_delivery(
    alice: Caller, hook: dict[str, Any], receiver: Receiver, agent: str
) -> None:
    assert delivery.deliver(hook["id"]) == 1
    (seen,) = receiver.seen
    client = anthropic.Anthropic(api_key="unused", webhook_key=hook["signing_secret"])
    event = client.beta.webhooks.unwrap(seen.body, headers=seen.headers)
    assert event.data.type == "agent.created"
    assert event.data.id == agent
    assert client.beta.webhooks.parse_unverified(seen.body) == event
    assert event.id == seen.headers["webhook-id"] == one().event_id
    assert event.data.workspace_id == alice.acting.workspace_id
    assert (one().state, one().log[0]["status"]) == ("delivered", 204)
    with pytest.raises(Exception, match="No matching signature"):
        client.beta.webhooks.unwrap(seen.body.replace("agent", "agenda"), headers=seen.headers)


def test_every_type_of_the_sdks_union_can_be_told_in_its_own_shape(alice: Caller, hook: dict[str, Any]) -> None:
    assert len(kinds.shapes()) == 49
    beside = {"session_thread_id": "sthr_1", "vault_id": "vlt_1", "enforcement_action_id": "enac_1"}
    for name in kinds.shapes():
        happenings.tell(name, "thing_1", workspace_id=alice.acting.workspace_id, **beside)
    adapter = TypeAdapter(sdk_type("beta_webhook_event.BetaWebhookEvent"))
    bodies = [json.loads(row.body) for row in WebhookDelivery.objects.all()]
    assert {adapter.validate_python(body).data.type for body in bodies} == set(kinds.shapes())
    assert set(kinds.shapes()) > kinds.ORGANIZATION
    for body in bodies:
        assert ("workspace_id" in body["data"]) == (body["data"]["type"] not in kinds.ORGANIZATION)


def test_a_sessions_life_is_told(alice: Caller, hook: dict[str, Any], agent: str, environment: str) -> None:
    WebhookDelivery.objects.all().delete()
    session = alice.post("/sessions", {"agent": agent, "environment_id": environment})["id"]
    alice.post(f"/sessions/{session}/events", {"events": [HELLO]})
    thread = Thread.objects.get(session_id=session)
    about = {"session_thread_id": thread.pk, "agent_name": "Coder"}
    waits = {**about, "stop_reason": {"type": "requires_action", "event_ids": []}, "stop_details": None}
    log.append(session, thread.pk, [Draft(ev.THREAD_IDLE, waits)])
    alice.post(f"/sessions/{session}", {"title": "New"})
    alice.post(f"/sessions/{session}", {"title": "New"})  # changes nothing
    alice.post(f"/sessions/{session}/archive")
    alice.ok("DELETE", f"/sessions/{session}")
    assert told() == [
        "session.created",
        "session.pending",
        "session.status_run_started",
        "session.running",
        "session.status_idled",
        "session.idled",
        "session.requires_action",
        "session.updated",
        "session.status_terminated",
        "session.archived",
        "session.deleted",
    ]


def test_a_budget_that_is_reached_is_told_once_a_value(
    alice: Caller, hook: dict[str, Any], agent: str, environment: str
) -> None:
    session = alice.post("/sessions", {"agent": agent, "environment_id": environment})["id"]
    thread = Thread.objects.get(session_id=session)
    about = {"session_thread_id": thread.pk, "agent_name": "Coder"}
    stop = {**about, "stop_reason": {"type": "budget_reached"}, "stop_details": None}
    for _ in range(2):
        log.append(session, thread.pk, [Draft(ev.THREAD_RUNNING, about), Draft(ev.THREAD_IDLE, stop)])
    assert told().count("session.budget_reached") == 1
    log.append(session, thread.pk, [Draft(ev.SESSION_UPDATED, {"budget": None}), Draft(ev.THREAD_RUNNING, about)])
    log.append(session, thread.pk, [Draft(ev.THREAD_IDLE, stop)])
    assert told().count("session.budget_reached") == 2


def test_threads_are_told_of_children_only(alice: Caller, hook: dict[str, Any], session: dict[str, Any]) -> None:
    primary = Thread.objects.get(session_id=session["id"])
    child = Thread.objects.create(
        session_id=session["id"], parent=primary, agent={}, agent_name="Helper",
        created_at=timezone.now(), updated_at=timezone.now(),
    )  # fmt: skip
    idle = {"stop_reason": {"type": "end_turn"}, "stop_details": None, "agent_name": "x"}
    log.append(session["id"], primary.pk, [Draft(ev.THREAD_IDLE, {**idle, "session_thread_id": primary.pk})])
    log.append(session["id"], child.pk, [Draft(ev.THREAD_IDLE, {**idle, "session_thread_id": child.pk})])
    body = json.loads(one("session.thread_idled").body)
    assert (body["data"]["id"], body["data"]["session_thread_id"]) == (session["id"], child.pk)


def test_objects_are_told_of_real_changes_only(alice: Caller, hook: dict[str, Any]) -> None:
    agent = alice.post("/agents", {"name": "A", "model": "demo"})["id"]
    for name in ("B", "B"):
        alice.post(f"/agents/{agent}", {"name": name})
    environment = alice.post("/environments", {"name": "E"})["id"]
    for name in ("F", "F"):
        alice.post(f"/environments/{environment}", {"name": name})
    for path in (f"/environments/{environment}", f"/agents/{agent}"):
        alice.post(f"{path}/archive")
        alice.post(f"{path}/archive")
    alice.ok("DELETE", f"/environments/{environment}")
    vault = alice.post("/vaults", {"display_name": "V"})["id"]
    auth = {"type": "static_bearer", "token": "t", "mcp_server_url": "https://mcp.example"}
    made = alice.post(f"/vaults/{vault}/credentials", {"display_name": "C", "auth": auth})
    alice.post(f"/vaults/{vault}/archive")
    alice.ok("DELETE", f"/vaults/{vault}")
    store = alice.post("/memory_stores", {"name": "M"})["id"]
    alice.post(f"/memory_stores/{store}/archive")
    alice.ok("DELETE", f"/memory_stores/{store}")
    assert told() == [
        "agent.created", "agent.updated", "environment.created", "environment.updated", "environment.archived",
        "agent.archived", "environment.deleted", "vault.created", "vault_credential.created",
        "vault_credential.archived", "vault.archived", "vault_credential.deleted", "vault.deleted",
        "memory_store.created", "memory_store.archived", "memory_store.deleted",
    ]  # fmt: skip
    assert json.loads(one("vault_credential.created").body)["data"] | {"organization_id": ""} == {
        "type": "vault_credential.created",
        "id": made["id"],
        "vault_id": vault,
        "organization_id": "",
        "workspace_id": alice.acting.workspace_id,
    }


def test_a_change_that_is_taken_back_is_never_told(alice: Caller, hook: dict[str, Any]) -> None:
    alice.post("/environments", {"name": "Same"})
    alice.refused("POST", "/environments", {"name": "Same"})
    assert told() == ["environment.created"]


def test_three_attempts_with_growing_pauses_each_signed_anew(
    hook: dict[str, Any], receiver: Receiver, agent: str
) -> None:
    receiver.statuses = [500]
    pauses = []
    for number in range(1, 4):
        assert delivery.deliver(hook["id"]) == 1
        assert delivery.deliver(hook["id"]) == 0  # not before its time
        row = one()
        assert row.attempts == len(row.log) == number
        if row.next_attempt_at:
            pauses.append((row.next_attempt_at - timezone.now()).total_seconds())
        WebhookDelivery.objects.update(next_attempt_at=timezone.now())
    assert one().state == "failed"
    assert 4 < pauses[0] <= 10 < 20 < pauses[1] <= 50
    assert len({seen.headers["webhook-id"] for seen in receiver.seen}) == 1
    client = anthropic.Anthropic(api_key="unused", webhook_key=hook["signing_secret"])
    for seen in receiver.seen:
        client.beta.webhooks.unwrap(seen.body, headers=seen.headers)


def test_a_retry_that_works_ends_it(hook: dict[str, Any], receiver: Receiver, agent: str) -> None:
    receiver.statuses = [503, 200]
    delivery.deliver(hook["id"])
    assert WebhookEndpoint.objects.get().failing_since is not None
    make_due()
    delivery.deliver(hook["id"])
    assert (one().state, [entry["status"] for entry in one().log]) == ("delivered", [503, 200])
    assert WebhookEndpoint.objects.get().failing_since is None


def test_a_redirect_is_not_followed_and_disables_at_once(hook: dict[str, Any], receiver: Receiver, agent: str) -> None:
    receiver.statuses = [302]
    happenings.tell("agent.updated", "agent_1", workspace_id=WebhookEndpoint.objects.get().workspace_id)
    delivery.deliver(hook["id"])
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.state == "disabled"
    assert endpoint.disabled_reason == "auto-disabled: endpoint URL returned a redirect (3xx)"
    assert [seen.path for seen in receiver.seen] == ["/hook"]
    assert sorted(WebhookDelivery.objects.values_list("state", flat=True)) == ["dropped", "failed"]


def test_a_name_that_comes_to_mean_a_private_address_disables_at_once(
    hook: dict[str, Any], receiver: Receiver, agent: str, settings: Any
) -> None:
    settings.HOLDFAST_ALLOWED_NETWORKS = ()
    delivery.deliver(hook["id"])
    assert receiver.seen == []
    reason = WebhookEndpoint.objects.get().disabled_reason
    assert reason == "auto-disabled: endpoint URL resolved to an invalid address"


def test_a_target_that_hangs_is_given_up_in_time(
    hook: dict[str, Any], receiver: Receiver, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "SEND_SECONDS", 0.3)
    receiver.silent = True
    delivery.deliver(hook["id"])
    assert (one().state, one().log[0]["status"]) == ("pending", None)
    assert one().log[0]["error"].startswith("No answer:")


def test_a_day_of_failures_disables_and_enabling_forgives(
    alice: Caller, hook: dict[str, Any], receiver: Receiver, agent: str
) -> None:
    receiver.statuses = [500]
    WebhookEndpoint.objects.update(failing_since=timezone.now() - timedelta(hours=25))
    delivery.deliver(hook["id"])
    shown = alice.get(f"/x/webhooks/{hook['id']}")
    assert (shown["state"], shown["disabled_reason"]) == ("disabled", "auto-disabled after sustained delivery failures")
    alice.post("/agents", {"name": "Unheard", "model": "demo"})
    again = alice.post(f"/x/webhooks/{hook['id']}", {"state": "enabled"})
    assert (again["state"], again["disabled_reason"]) == ("enabled", "")
    assert delivery.deliver(hook["id"]) == 0  # what it missed stays missed


def test_a_delivery_is_sent_again_by_hand_under_its_own_id(
    alice: Caller, hook: dict[str, Any], receiver: Receiver, agent: str
) -> None:
    delivery.deliver(hook["id"])
    row = one()
    path = f"/x/webhooks/{hook['id']}/deliveries"
    again = alice.post(f"{path}/{row.pk}/redeliver")
    assert (again["state"], again["id"]) == ("pending", row.pk)
    assert "still under way" in alice.refused("POST", f"{path}/{row.pk}/redeliver").message
    delivery.deliver(hook["id"])
    assert len({seen.headers["webhook-id"] for seen in receiver.seen}) == 1
    shown = alice.get(f"{path}?state=delivered")["data"]
    assert [len(entry["attempts"]) for entry in shown] == [2]
    other = alice.post("/x/webhooks", {"url": receiver.url, "enabled_events": ["agent.created"]})
    assert alice.refused("POST", f"/x/webhooks/{other['id']}/deliveries/{row.pk}/redeliver").status == 404


def test_an_endpoint_is_locked_before_its_deliveries(hook: dict[str, Any], receiver: Receiver, agent: str) -> None:
    """Two that settle at once, of which one drops the other's, would else wait for each other for ever."""
    receiver.statuses = [302]
    with CaptureQueriesContext(connection) as seen:
        delivery.deliver(hook["id"])
    locks = [query["sql"] for query in seen if query["sql"].endswith(("FOR UPDATE", "FOR NO KEY UPDATE"))]
    assert ["webhookendpoint" in sql.partition("WHERE")[0] for sql in locks] == [True, False]


def test_what_is_noted_while_its_endpoint_is_disabled_is_dropped(hook: dict[str, Any], agent: str) -> None:
    WebhookEndpoint.objects.update(state="disabled")
    assert delivery.due() == []
    assert one().state == "dropped"


def test_the_queue_of_an_endpoint_is_bounded(
    alice: Caller, hook: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_PENDING", 3)
    for number in range(5):
        alice.post("/agents", {"name": f"A{number}", "model": "demo"})
    assert WebhookDelivery.objects.count() == 3
    assert WebhookEndpoint.objects.get().dropped == 2


def test_few_are_under_way_at_once_so_that_one_target_can_not_hold_all_workers(
    alice: Caller, hook: dict[str, Any], receiver: Receiver
) -> None:
    for number in range(6):
        alice.post("/agents", {"name": f"A{number}", "model": "demo"})
    busy = list(WebhookDelivery.objects.values_list("pk", flat=True)[:4])
    WebhookDelivery.objects.filter(pk__in=busy).update(claimed_until=timezone.now() + timedelta(seconds=20))
    assert delivery.deliver(hook["id"]) == 0
    WebhookDelivery.objects.filter(pk=busy[0]).update(claimed_until=None)
    assert delivery.deliver(hook["id"]) == 3


def test_the_sweeper_finds_what_got_lost_and_ends_what_was_tried_enough(hook: dict[str, Any], agent: str) -> None:
    assert delivery.due() == [hook["id"]]
    WebhookDelivery.objects.update(attempts=3, claimed_until=timezone.now() - timedelta(seconds=1))
    assert delivery.due() == []
    assert one().state == "failed"


def test_records_are_forgotten_after_the_days_that_are_set_but_for_what_is_still_to_be_sent(
    hook: dict[str, Any], agent: str, alice: Caller, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left(age: int, days: int) -> int:
        settings.HOLDFAST_DELIVERY_DAYS = days
        WebhookDelivery.objects.update(created_at=timezone.now() - timedelta(days=age))
        delivery.forget()
        return WebhookDelivery.objects.count()

    waits = one().pk
    for number in range(4):
        alice.post("/agents", {"name": f"A{number}", "model": "demo"})
    WebhookDelivery.objects.exclude(pk=waits).update(state="delivered")
    monkeypatch.setattr(delivery, "FORGOTTEN_AT_ONCE", 2)
    assert [left(29, 30), left(31, 0), left(31, 365)] == [5, 5, 5]
    assert left(31, 30) == 1
    assert WebhookDelivery.objects.get().pk == waits
