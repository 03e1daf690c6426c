"""Around every page: the navigation shows what exists, keys come from one table, the palette finds only one's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from contract import shortcuts
from contract.places import PLACES

if TYPE_CHECKING:
    from tests.web.conftest import World


def test_the_navigation_leads_only_to_pages_that_answer(world: World) -> None:
    page = world.alice.get("/").content.decode()
    nav = page[page.index('<nav class="mainnav"') : page.index("</nav>")]
    links = re.findall(r'href="([^"]+)" data-key="g (\w)"', nav)
    assert len(links) >= 5
    assert len({key for _, key in links}) == len(links)
    for href, _ in links:
        assert world.alice.get(href).status_code == 200, href


def test_the_place_one_is_in_is_marked(world: World) -> None:
    session, credential = f"/sessions/{world.session.pk}/", f"/credentials/{world.credential.pk}/"
    places = (("/", "Overview"), (session, "Sessions"), ("/agents/", "Agents"), (credential, "Credentials"))
    for path, label in places:
        page = world.alice.get(path).content.decode()
        here = re.findall(r'title="([\w ]+)" aria-current="page"', page)
        assert here == [label]


def test_what_a_role_may_not_see_is_not_in_its_navigation(world: World) -> None:
    assert 'href="/keys/"' in world.alice.get("/").content.decode()
    assert 'href="/keys/"' not in world.bob.get("/").content.decode()


def test_no_key_means_two_things() -> None:
    assert len({place.key for place in PLACES}) == len(PLACES)
    for rows in shortcuts.SECTIONS.values():
        assert len({row.keys for row in rows}) == len(rows)


def test_the_page_of_shortcuts_lists_the_table_without_what_does_not_exist(world: World) -> None:
    page = world.alice.get("/help/shortcuts/").content.decode()
    for row in (*shortcuts.SECTIONS["Everywhere"], *shortcuts.SECTIONS["A session"]):
        assert row.does in page
    listed = page[page.index('class="keysheet"') :]
    shown = [place.label for place in PLACES if f"<dd>{place.label}</dd>" in listed]
    assert "Sessions" in shown
    assert {f'title="{label}"' in page for label in shown} <= {True}


def test_the_palette_finds_sessions_and_agents_of_ones_own_workspace(world: World) -> None:
    mine = world.alice.get("/help/palette/", {"q": "tidy"}).content.decode()
    assert f'href="/sessions/{world.session.pk}/"' in mine
    assert f'href="/agents/{world.agent.pk}/"' in world.alice.get("/help/palette/", {"q": "coder"}).content.decode()
    assert "href" not in world.charlie.get("/help/palette/", {"q": "tidy"}).content.decode()
    assert "href" not in world.alice.get("/help/palette/", {"q": ""}).content.decode()
    assert world.nobody.get("/help/palette/", {"q": "tidy"}).status_code == 302
