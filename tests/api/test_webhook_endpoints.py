"""Webhook endpoints: which addresses are taken, what an endpoint's owner changes, and the organization's own list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from contract import happenings
from contract.roles import Role
from credentials import dialling
from sessions.models import WebhookDelivery
from sessions.webhooks import kinds
from tests.api.conftest import Caller, caller, fits
from tests.api.hooks import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDPOINT = "organization.beta_organization_webhook_endpoint.BetaOrganizationWebhookEndpoint"
NEW = "organization.beta_new_organization_webhook_endpoint.BetaNewOrganizationWebhookEndpoint"


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


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://93.184.216.34/hook", "must be an https"),
        ("https://93.184.216.34:8443/hook", "port 443"),
        ("https://10.0.0.1/hook", "not public"),
        ("https://169.254.169.254/latest", "not public"),
        ("https://[::1]/hook", "not public"),
        ("https://[::ffff:10.0.0.1]/hook", "not public"),
        ("https://nowhere.invalid/hook", "can't be found"),
        ("ftp://93.184.216.34/", "https:// URL"),
        ("https://user:secret@93.184.216.34/", "user name"),
        ("https:///hook", "https:// URL"),
        ("https://93.184.216.34/a b", "printable"),
        ("https://93.184.216.34:99999/", "can't be read"),
        ("https://93.184.216.34/" + "a" * 2048, "at most 2048"),
    ],
)
def test_addresses_that_may_not_be_told_are_refused(
    alice: Caller, url: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = dialling._look_up
    literal = lambda host, port, seconds: [host] if host[0].isdigit() or ":" in host else look_up(host, port, seconds)  # noqa: E731
    monkeypatch.setattr(dialling, "_look_up", literal)
    refused = alice.refused("POST", "/x/webhooks", {"url": url, "enabled_events": ["agent.created"]})
    assert refused.status == 400
    assert refused.message.startswith("url: ")
    assert said in refused.message


def test_an_endpoint_is_changed_and_deleted(alice: Caller, hook: dict[str, Any], agent: str) -> None:
    path = f"/x/webhooks/{hook['id']}"
    changed = alice.post(path, {"name": "Bot", "enabled_events": ["session.deleted"]})
    assert (changed["name"], changed["enabled_events"]) == ("Bot", ["session.deleted"])
    assert "signing_secret" not in changed
    assert alice.post(path, {"enabled_events": []})["enabled_events"] == ["session.deleted"]
    fresh = alice.post(f"{path}/regenerate_signing_secret")["signing_secret"]
    assert fresh.startswith("whsec_")
    assert fresh != hook["signing_secret"]
    assert "is not an event type" in alice.refused("POST", path, {"enabled_events": ["agent.exploded"]}).message
    assert alice.refused("POST", path, {"bogus": 1}).status == 400
    alice.ok("DELETE", path)
    assert alice.refused("GET", path).status == 404
    assert WebhookDelivery.objects.count() == 0


def test_only_an_administrator_of_the_workspace_sees_endpoints(
    alice: Caller, charlie: Caller, hook: dict[str, Any]
) -> None:
    from agents.models import Workspace

    developer = caller("dev", Role.DEVELOPER, Workspace.objects.get(pk=alice.acting.workspace_id))
    assert developer.refused("GET", "/x/webhooks").status == 403
    assert developer.refused("POST", "/x/webhooks", {"url": "https://a", "enabled_events": []}).status == 403
    assert charlie.get("/x/webhooks")["data"] == []
    assert charlie.refused("GET", f"/x/webhooks/{hook['id']}").status == 404
    assert charlie.refused("GET", f"/x/webhooks/{hook['id']}/deliveries").status == 404
    charlie.post("/agents", {"name": "Theirs", "model": "demo"})
    assert told() == []


def test_the_organizations_endpoints_know_five_types(alice: Caller, receiver: Receiver) -> None:
    path = "/organizations/webhooks"
    body = {"url": receiver.url, "enabled_events": ["external_key.failed"]}
    made = alice.post(path, body)
    fits(NEW, made)
    assert alice.refused("POST", path, {**body, "enabled_events": ["session.created"]}).status == 400
    assert "at least one" in alice.refused("POST", path, {**body, "enabled_events": []}).message
    second = alice.post(path, body)
    listed = alice.get(path)
    assert [entry["id"] for entry in listed["data"]] == [second["id"], made["id"]]
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == (second["id"], made["id"], False)
    assert [entry["id"] for entry in alice.get(f"{path}?after_id={second['id']}")["data"]] == [made["id"]]
    assert [entry["id"] for entry in alice.get(f"{path}?before_id={made['id']}")["data"]] == [second["id"]]
    assert alice.get(f"{path}?limit=1&order=asc")["has_more"]
    assert alice.refused("GET", f"{path}?after_id=whep_unknown").status == 400
    fits(ENDPOINT, alice.post(f"{path}/{made['id']}", {"state": "disabled"}))
    assert alice.get(f"{path}/{made['id']}")["state"] == "disabled"
    assert alice.post(f"{path}/{made['id']}/regenerate_signing_secret")["signing_secret"].startswith("whsec_")
    assert alice.ok("DELETE", f"{path}/{made['id']}") == {"id": made["id"], "type": "webhook_endpoint_deleted"}
    assert alice.get("/x/webhooks")["data"] == []
    happenings.tell("external_key.failed", "ekey_1", workspace_id=alice.acting.workspace_id)
    assert told() == ["external_key.failed"]


def test_an_organization_has_thirty_two_endpoints_at_most(alice: Caller, receiver: Receiver) -> None:
    body = {"url": receiver.url, "enabled_events": ["external_key.failed"]}
    for _ in range(32):
        alice.post("/organizations/webhooks", body)
    assert "no more are allowed" in alice.refused("POST", "/organizations/webhooks", body).message
