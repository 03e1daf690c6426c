"""Pages of dreams: begun by a form, followed, canceled and archived by buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sessions.dreams import engine
from sessions.models import Dream

if TYPE_CHECKING:
    from tests.web.conftest import World


def filled(world: World, **change: Any) -> dict[str, Any]:
    return {
        "store": world.dream.store_id,
        "sessions": [world.session.pk],
        "behavior": "create_new",
        "model": "demo",
        "instructions": "",
        **change,
    }


def test_a_form_begins_a_dream_and_its_page_shows_what_it_reads(world: World) -> None:
    body = filled(world, instructions="Look for teas.")
    shown = world.alice.get("/dreams/new/")
    assert "Tidy up" in shown.content.decode()
    made = world.alice.post("/dreams/new/", body)
    assert made.status_code == 302
    page = world.alice.get(made["Location"]).content.decode()
    assert "Look for teas." in page
    assert "Cancel dream" in page
    assert "Tea notes" in world.alice.get("/dreams/").content.decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sessions": []}, "This field is required."),
        ({"store": "memstore_x"}, "not one of the available choices"),
        ({"model": " "}, "This field is required."),
    ],
)
def test_a_form_that_cannot_be_is_shown_again(world: World, change: dict[str, Any], said: str) -> None:
    again = world.alice.post("/dreams/new/", filled(world, **change))
    assert (again.status_code, said in again.content.decode()) == (422, True)


def test_a_second_dream_into_the_same_store_says_who_holds_it(world: World) -> None:
    first = world.alice.post("/dreams/new/", filled(world, behavior="update_existing"))
    second = world.alice.post("/dreams/new/", filled(world, behavior="update_existing"))
    assert (first.status_code, second.status_code) == (302, 422)
    assert first["Location"].split("/")[2] in second.content.decode()


def test_a_dream_is_canceled_and_archived_by_buttons(world: World) -> None:
    path = f"/dreams/{world.dream.pk}/"
    engine.drive(world.dream.pk)
    assert "Open its session" in world.alice.get(path).content.decode()
    world.alice.post(f"{path}cancel/")
    assert "What it holds is not complete." in world.alice.get(path).content.decode()
    world.alice.post(f"{path}archive/")
    assert Dream.objects.get(pk=world.dream.pk).archived_at is not None
    assert path not in world.alice.get("/dreams/").content.decode()
    assert path in world.alice.get("/dreams/?archived=1").content.decode()
