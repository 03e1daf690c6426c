"""The pages of webhook endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone

from sessions.models import WebhookDelivery, WebhookEndpoint

if TYPE_CHECKING:
    from tests.web.conftest import World

FORM = {"url": "http://127.0.0.1:9/hook", "name": "Bot", "events_session": ["session.status_idled", "session.created"]}


def test_an_endpoint_is_made_and_its_secret_shown_once(world: World, settings: Any) -> None:
    settings.HOLDFAST_ALLOWED_NETWORKS = ("127.0.0.1",)
    shown = world.alice.post("/webhooks/new/", FORM).content.decode()
    made = WebhookEndpoint.objects.get(name="Bot")
    assert "whsec_" in shown
    assert made.enabled_events == ["session.created", "session.status_idled"]
    assert "whsec_" not in world.alice.get(f"/webhooks/{made.pk}/").content.decode()


def test_an_address_inside_is_refused_at_its_field(world: World) -> None:
    response = world.alice.post("/webhooks/new/", FORM)
    assert response.status_code == 422
    assert "Its host stands for an address that is not public" in response.content.decode()
    without = world.alice.post("/webhooks/new/", {**FORM, "events_session": []}).content.decode()
    assert "Choose at least one kind of event." in without


def test_the_log_shows_how_a_delivery_went_and_sends_it_again(world: World) -> None:
    entry = {"at": "2026-01-01T00:00:00.000Z", "status": 500, "error": "It answered with 500.", "seconds": 0.1}
    row = WebhookDelivery.objects.create(
        endpoint=world.hook, event_id="whe_1", event_type="session.status_idled", body="{}", state="failed",
        attempts=3, log=[entry], created_at=timezone.now(),
    )  # fmt: skip
    shown = world.alice.get(f"/webhooks/{world.hook.pk}/").content.decode()
    assert "It answered with 500." in shown
    world.alice.post(f"/webhooks/{world.hook.pk}/redeliver/", {"delivery": row.pk})
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("pending", 0)


def test_an_endpoint_is_disabled_and_enabled(world: World) -> None:
    world.alice.post(f"/webhooks/{world.hook.pk}/state/", {"state": "disabled"})
    world.hook.refresh_from_db()
    assert world.hook.state == "disabled"
    shown = world.alice.post(f"/webhooks/{world.hook.pk}/state/", {"state": "enabled"}, follow=True).content.decode()
    assert "Enabled. What happened meanwhile is not delivered." in shown
