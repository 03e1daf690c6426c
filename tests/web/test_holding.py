"""The controls in a session's header: pause and resume, and raising the cap it stopped at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents.actions import update_agent
from agents.models import Workspace
from sessions import render, verify
from sessions.actions import update_session
from sessions.models import Session
from tests.web.conftest import VARIABLE, bash
from tests.web.forms import NO_START_ROWS

if TYPE_CHECKING:
    from tests.web.conftest import World


def test_a_session_is_paused_and_resumed_from_its_page(world: World) -> None:
    world.append(world.running())
    address = f"/sessions/{world.session.pk}/"
    assert 'form="pause"' in world.alice.get(address).content.decode()
    world.alice.post(f"{address}hold/pause/")
    assert world.fresh().paused == "alice"
    page = world.alice.get(address).content.decode()
    assert "Pauses after this step." in page
    assert "alice paused the session" in page
    world.append(world.idle({"type": "requires_action", "event_ids": [], "holdfast": {"paused": {"by": "alice"}}}))
    shown = render.state_html(world.fresh())
    assert ">Paused<" in shown
    assert 'form="resume"' in shown
    assert "An operator paused it." in world.alice.get("/").content.decode()
    world.alice.post(f"{address}hold/resume/")
    assert (world.fresh().paused, world.fresh().status) == ("", "running")
    assert verify.verify(world.fresh()) == []
    assert world.alice.post(f"{address}hold/stop/").status_code == 404


def test_the_clocks_of_a_session_that_is_done_stand_still(world: World) -> None:
    world.append(world.running(), world.idle({"type": "requires_action", "event_ids": []}))
    assert not render.numbers(world.fresh())["over"]
    world.append(world.running(), world.idle({"type": "end_turn"}))
    assert render.numbers(world.fresh())["over"]


def test_a_session_that_waits_for_a_turn_shows_its_place_in_the_queue(world: World) -> None:
    world.append(world.running())
    assert "wait for a turn" not in render.state_html(world.fresh())
    Workspace.objects.filter(pk=world.session.workspace_id).update(limits={"concurrent_sessions": 1})
    assert "Number 1 of those that wait for a turn" in render.state_html(world.fresh())


def test_what_stands_against_a_pause_is_said_where_it_was_asked(world: World) -> None:
    said = world.alice.post(f"/sessions/{world.session.pk}/hold/pause/", headers={"HX-Request": "true"})
    assert "rests already" in said.content.decode()


def test_a_session_that_waits_for_an_answer_can_be_held_too(world: World) -> None:
    world.append(world.running(), bash("make", ask=True))
    world.append(world.idle({"type": "requires_action", "event_ids": [world.fresh().pk]}))
    world.alice.post(f"/sessions/{world.session.pk}/hold/pause/")
    shown = render.state_html(world.fresh())
    assert "nothing runs before it is resumed" in shown


@pytest.mark.parametrize(
    ("cap", "limit", "typed", "stored"),
    [
        ("steps", 40, "80", {"steps": 80}),
        ("list_cost", 250, "5.00", {"list_cost": {"amount": "500", "currency": "USD"}}),
    ],
)
def test_the_cap_a_session_stopped_at_is_raised_from_the_header(
    world: World, cap: str, limit: int, typed: str, stored: dict[str, object]
) -> None:
    world.session.agent_snapshot["model"]["id"] = "claude-opus-4-6"
    world.session.save(update_fields=["agent_snapshot"])
    note = {"cap": cap, "level": "session", "limit": limit, "used": limit}
    world.append(world.running())
    world.append(world.idle({"type": "budget_reached", "holdfast": note}))
    shown = render.state_html(world.fresh())
    assert f'value="{typed}"' in shown
    world.alice.post(f"/sessions/{world.session.pk}/limit/", {"cap": cap, "limit": typed})
    assert world.fresh().limits == stored
    update_session(world.session.pk, {"holdfast": {"limits": {cap: None}}}, world.acting)
    wrong = world.alice.post(f"/sessions/{world.session.pk}/limit/", {"cap": cap, "limit": "much"}, follow=True)
    assert "Type the limit as" in wrong.content.decode()
    assert world.fresh().limits == {}


def test_a_cap_of_the_agent_is_raised_on_the_agent(world: World) -> None:
    world.append(world.running())
    note = {"cap": "steps", "level": "agent", "limit": 4, "used": 4}
    world.append(world.idle({"type": "budget_reached", "holdfast": note}))
    assert f"/agents/{world.agent.pk}/edit/" in render.state_html(world.fresh())


def test_the_start_form_chooses_no_agent_by_itself(world: World) -> None:
    page = world.alice.get("/sessions/new/")
    assert page.context["form"]["agent"].value() is None
    assert page.context["preview"] is None
    refused = world.alice.post(
        "/sessions/new/", {**NO_START_ROWS, "environment": world.environment.pk, "task": "Go", "agent": ""}
    )
    assert refused.status_code == 422
    assert "Choose an agent." in refused.content.decode()


def test_a_session_is_started_like_an_earlier_one_with_its_version(world: World) -> None:
    update_agent(world.agent.pk, {"system": "Second"}, world.acting)
    form = world.alice.get(f"/sessions/new/?like={world.session.pk}").context["form"]
    assert form["agent"].value() == f"{world.agent.pk}@1"
    assert form["title"].value() == "Tidy up"
    sent = {"agent": f"{world.agent.pk}@1", "environment": world.environment.pk, "task": "Go", "limit_steps": "7"}
    sent |= NO_START_ROWS
    made = world.alice.post("/sessions/new/", sent)
    started = Session.objects.exclude(pk=world.session.pk).get(pk=made["Location"].split("/")[2])
    assert (started.agent_version, started.limits) == (1, {"steps": 7})
    newest = world.alice.post("/sessions/new/", {**sent, "agent": world.agent.pk})
    assert Session.objects.get(pk=newest["Location"].split("/")[2]).agent_version == 2
    assert world.alice.post("/sessions/new/", {**sent, "agent": f"{world.agent.pk}@9"}).status_code in (404, 422)


def test_the_form_tells_beforehand_which_secrets_would_be_used(world: World) -> None:
    address = f"/sessions/new/preview/?agent={world.agent.pk}&vaults={world.vault.pk}"
    shown = world.alice.get(address).content.decode()
    assert "API_TOKEN" in shown
    assert "api.example.com" in shown
    assert "mcp.example.com" not in shown
    assert str(VARIABLE["secret_value"]) not in shown
