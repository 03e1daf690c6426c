"""The page of a self_hosted environment's workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessions.models import EnvironmentKey

if TYPE_CHECKING:
    from tests.web.conftest import World


def test_a_key_is_shown_once_and_revoked(world: World) -> None:
    page = f"/environments/{world.outside.pk}/workers/"
    shown = world.alice.post(f"{page}keys/", {"name": "rack 1"}).content.decode()
    key = EnvironmentKey.objects.get()
    assert "sk-ant-oat01-" in shown
    again = world.alice.get(page).content.decode()
    assert "sk-ant-oat01-" not in again
    assert "rack 1" in again
    world.alice.post(f"{page}revoke/", {"key": key.pk})
    key.refresh_from_db()
    assert key.revoked_at is not None


def test_a_viewer_sees_the_queue_and_no_keys(world: World) -> None:
    world.alice.post(f"/environments/{world.outside.pk}/workers/keys/", {"name": "rack 1"})
    shown = world.bob.get(f"/environments/{world.outside.pk}/workers/").content.decode()
    assert "No session waits for a worker" in shown
    assert "rack 1" not in shown


def test_a_cloud_environment_has_no_workers_page(world: World) -> None:
    assert world.alice.get(f"/environments/{world.environment.pk}/workers/").status_code == 404
