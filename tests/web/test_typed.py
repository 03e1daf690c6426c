"""Addresses as people type them, with a slash too many or too few."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.web.conftest import World


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("/login/", "/login"),
        ("/login/?next=/agents/", "/login?next=/agents/"),
        ("/sessions", "/sessions/"),
        ("/admin", "/admin/"),
        ("/healthz/", "/healthz"),
        ("/environments/a%3Fb%23c", "/environments/a%3Fb%23c/"),
    ],
)
def test_an_address_typed_with_the_other_slash_is_found(world: World, typed: str, found: str) -> None:
    response = world.alice.get(typed)
    assert (response.status_code, response["location"]) == (302, found)


@pytest.mark.parametrize("path", ["/v1/agents/", "/v1", "/nothing/", "/nothing", "/sessions/none/"])
def test_what_is_not_there_with_either_slash_or_is_the_api_s_is_not_redirected(world: World, path: str) -> None:
    assert world.alice.get(path).status_code in (401, 404)


def test_what_is_sent_to_an_address_with_the_other_slash_is_refused_not_lost_on_the_way(world: World) -> None:
    assert world.alice.post("/login/", {"username": "alice"}).status_code == 404
