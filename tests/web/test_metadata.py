"""Metadata, and what else the API's objects hold, on the forms of environments, vaults, credentials and stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agents.models import Environment
from credentials.models import Credential, Vault
from tests.web.forms import filled

if TYPE_CHECKING:
    from tests.web.conftest import World

PAIR = {"metadata-TOTAL_FORMS": "1", "metadata-0-key": "team", "metadata-0-text": "billing"}


def addresses(world: World) -> dict[str, tuple[str, Any]]:
    return {
        "environment": (f"/environments/{world.environment.pk}/", world.environment),
        "outside": (f"/environments/{world.outside.pk}/", world.outside),
        "vault": (f"/vaults/{world.vault.pk}/edit/", world.vault),
        "credential": (f"/credentials/{world.credential.pk}/edit/", world.credential),
        "store": (f"/memory/{world.store.pk}/edit/", world.store),
    }


@pytest.mark.parametrize("kind", ["environment", "outside", "vault", "credential", "store"])
def test_metadata_is_written_kept_and_taken_away(world: World, kind: str) -> None:
    address, row = addresses(world)[kind]
    form = filled(world.alice.get(address).content.decode())
    page = world.alice.post(address, form | {"deed": "add:metadata"})
    assert page.status_code == 200
    assert world.alice.post(address, filled(page.content.decode()) | PAIR).status_code == 302
    row.refresh_from_db()
    assert row.metadata == {"team": "billing"}
    again = filled(world.alice.get(address).content.decode())
    assert world.alice.post(address, again).status_code == 302
    row.refresh_from_db()
    assert row.metadata == {"team": "billing"}
    assert world.alice.post(address, again | {"metadata-TOTAL_FORMS": "0"}).status_code == 302
    row.refresh_from_db()
    assert row.metadata == {}


def test_a_key_that_is_there_twice_is_told_at_the_rows(world: World) -> None:
    address, row = addresses(world)["vault"]
    form = filled(world.alice.get(address).content.decode()) | PAIR
    twice = form | {"metadata-TOTAL_FORMS": "2", "metadata-1-key": "team", "metadata-1-text": "other"}
    answer = world.alice.post(address, twice)
    assert answer.status_code == 422
    assert "The key team is there twice." in answer.content.decode()
    row.refresh_from_db()
    assert row.metadata == {}


def test_an_environment_of_outside_workers_is_made_and_renamed(world: World) -> None:
    form = filled(world.alice.get("/environments/new/").content.decode())
    assert world.alice.post("/environments/new/", form | {"name": "Rack", "kind": "self_hosted"}).status_code == 302
    made = Environment.objects.get(name="Rack")
    assert made.config == {"type": "self_hosted"}
    page = world.alice.get(f"/environments/{made.pk}/").content.decode()
    assert 'name="allowed_hosts"' not in page
    world.alice.post(f"/environments/{made.pk}/", filled(page) | {"name": "Rack 2"})
    made.refresh_from_db()
    assert (made.name, made.config) == ("Rack 2", {"type": "self_hosted"})


def test_a_vault_is_archived_and_deleted_by_those_who_may(world: World) -> None:
    for name in ("archive", "delete"):
        assert world.bob.post(f"/vaults/{world.vault.pk}/{name}/").status_code == 403
        assert world.charlie.post(f"/vaults/{world.vault.pk}/{name}/").status_code == 404
    world.alice.post(f"/vaults/{world.vault.pk}/archive/")
    assert Credential.objects.filter(vault=world.vault, archived_at=None).count() == 0
    assert "its secrets are forgotten" in world.alice.get(f"/vaults/{world.vault.pk}/").content.decode()
    assert world.alice.post(f"/vaults/{world.vault.pk}/delete/", follow=True).status_code == 200
    assert not Vault.objects.filter(pk=world.vault.pk).exists()


def test_an_environment_is_deleted_unless_a_session_uses_it(world: World) -> None:
    used = f"/environments/{world.environment.pk}/"
    assert "is used by sessions" in world.alice.post(f"{used}delete/", follow=True).content.decode()
    assert world.bob.post(f"/environments/{world.outside.pk}/delete/").status_code == 403
    world.alice.post(f"/environments/{world.outside.pk}/delete/")
    assert list(Environment.objects.filter(pk__in=[world.environment.pk, world.outside.pk])) == [world.environment]
