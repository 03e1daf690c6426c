"""The readings beside the transcript are live too: what is pushed or fetched is what a reload shows."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agents.memory import actors, memories
from credentials import vaults
from sessions import events as ev
from sessions import render
from sessions.events import Draft
from sessions.models import Session, Thread
from tests.web.conftest import VARIABLE, World, bash, result, text

if TYPE_CHECKING:
    from sessions.models import Event


def entries(page: str) -> list[str]:
    return re.findall(r'<li id="e-[^"]+".*?</li>', page, re.DOTALL)


def test_the_events_page_fetches_what_came_since_exactly_as_a_reload_shows_it(world: World) -> None:
    world.append(Draft(ev.AGENT_MESSAGE, {"content": text("one")}))
    address = f"/sessions/{world.session.pk}/events/"
    page = world.alice.get(address)
    assert "view=head" in page.content.decode()
    last = page.context["last"]
    (call,) = world.append(bash("make"))
    world.append(result(call, "built"))
    more = world.alice.get(f"{address}?after={last}", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in more
    assert f"after={last + 2}" in more
    whole = world.alice.get(address).content.decode()
    assert entries(whole)[-2:] == entries(more)
    nothing = world.alice.get(f"{address}?after={last + 2}", headers={"HX-Request": "true"}).content.decode()
    assert entries(nothing) == []
    assert f"after={last + 2}" in nothing


def test_pages_of_the_past_are_not_live(world: World) -> None:
    world.append(*[Draft(ev.AGENT_MESSAGE, {"content": text(str(n))}) for n in range(5)])
    session = f"/sessions/{world.session.pk}/"
    for path in (
        f"{session}events/?before=3",
        f"{session}threads/{world.thread.pk}/?before=3",
        f"{session}trace/?before=3",
    ):
        assert "hx-ws:connect" not in world.alice.get(path).content.decode(), path
    for path in (f"{session}events/", f"{session}files/", f"{session}threads/{world.thread.pk}/", f"{session}trace/"):
        assert "hx-ws:connect" in world.alice.get(path).content.decode(), path


def rows(event: Event, world: World, view: str) -> str:
    return "".join(frame["content"] for frame in render.event_frames(event, world.fresh(), view))


@pytest.mark.parametrize("view", ["", "thread"])
def test_a_thread_s_page_gets_the_rows_that_it_shows(world: World, view: str) -> None:
    (call,) = world.append(bash("make"))
    pushed = rows(call, world, view)
    shown = world.alice.get(f"/sessions/{world.session.pk}/threads/{world.thread.pk}/").content.decode()
    row = re.search(r'<li [^>]*class="row.*?</li>', pushed, re.DOTALL)
    assert row is not None
    squeeze = re.compile(r"\s+")
    assert squeeze.sub(" ", row.group(0)) in squeeze.sub(" ", shown)


def test_a_child_s_call_on_the_session_s_page_says_whose_it_is_when_loaded_and_when_pushed(world: World) -> None:
    child = Thread.objects.create(
        session=world.session,
        agent_name="Painter <b>",
        parent=world.thread,
        agent=world.thread.agent,
        created_at=world.thread.created_at,
        updated_at=world.thread.created_at,
    )
    tagged = f'<span class="tag" title="{child.pk}">Painter &lt;b&gt;</span>'
    call = bash("make", ask=True)
    (mine, hers) = world.append(call, replace(call, payload={**call.payload, "session_thread_id": child.pk}))
    assert tagged in rows(hers, world, "")
    assert tagged not in rows(mine, world, "")
    assert tagged not in rows(hers, world, "thread"), "a thread's own page need not say it"
    page = world.alice.get(f"/sessions/{world.session.pk}/").content.decode()
    assert page.count(tagged) == 1


def test_readings_that_fetch_get_the_header_and_nothing_else(world: World) -> None:
    (running,) = world.append(world.running())[-1:]
    (said,) = world.append(Draft(ev.AGENT_MESSAGE, {"content": text("hi")}))
    assert rows(said, world, "head") == ""
    assert "#state-now" in rows(running, world, "head") or running.type not in render.STATE_TYPES


def test_the_chosen_event_is_chosen_on_its_thread_s_page_too(world: World) -> None:
    (call,) = world.append(bash("make"))
    page = world.alice.get(f"/sessions/{world.session.pk}/threads/{world.thread.pk}/?event={call.seq}").content.decode()
    marked = re.search(r"<li [^>]*aria-current[^>]*>", page)
    assert marked is not None
    assert f'data-seq="{call.seq}"' in marked.group(0)
    assert f"/trace/?event={call.seq}" in page


def test_the_resources_tab_shows_what_the_session_wrote_to_memory(world: World) -> None:
    memories.update_memory(
        world.store.pk, world.memory.pk, {"content": "one\nby it\n"}, world.acting,
        author=actors.of_session(world.session.pk),
    )  # fmt: skip
    page = world.bob.get(f"/sessions/{world.session.pk}/inspect/resources/").content.decode()
    assert "-2" in page
    assert "+by it" in page
    assert f"/memory/{world.store.pk}/memories/{world.memory.pk}/" in page


def test_what_an_export_masks_is_shown_before_it_is_taken_out(world: World) -> None:
    vault = vaults.create_vault({"display_name": "One secret"}, world.acting)
    vaults.create_credential(vault.pk, {"auth": VARIABLE}, world.acting)
    Session.objects.filter(pk=world.session.pk).update(vault_ids=[vault.pk])
    secret = str(VARIABLE["secret_value"])
    world.append(Draft(ev.AGENT_MESSAGE, {"content": text(f"It said {secret} and no more.")}))
    page = world.alice.get(f"/sessions/{world.session.pk}/export/preview/")
    assert page.context["preview"].masked == 1
    shown = page.content.decode()
    assert secret not in shown
    assert "It said " in shown
    assert " and no more." in shown
