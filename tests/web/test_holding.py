"""The controls in a session's header: pause and resume, and raising the cap it stopped at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents.actions import update_agent
from agents.models import AgentVersion, Workspace
from contract.roles import Role
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
    pulse = world.alice.get(f"/sessions/{world.session.pk}/pulse/").content.decode()
    assert '<hx-partial hx-target="#state-now"' in pulse, "its place changes by what others do"


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
    assert "Stopped at this session" in shown
    address = f"/sessions/{world.session.pk}/limit/"
    world.alice.post(address, {"cap": cap, "limit": typed})
    assert world.fresh().limits == stored
    update_session(world.session.pk, {"holdfast": {"limits": {cap: None}}}, world.acting)
    wrong = world.alice.post(address, {"cap": cap, "limit": "much"}, follow=True)
    assert "Type the limit as" in wrong.content.decode()
    in_place = world.alice.post(address, {"cap": cap, "limit": "much"}, headers={"HX-Request": "true"})
    assert "Type the limit as" in in_place.content.decode()
    assert world.fresh().limits == {}


def at_cap(world: World, level: str, cap: str) -> str:
    """The world's session stands at a cap; what its header says."""
    world.append(world.running())
    note = {"cap": cap, "level": level, "limit": 4, "used": 4}
    world.append(world.idle({"type": "budget_reached", "holdfast": note}))
    return str(render.state_html(world.fresh()))


def test_a_cap_of_the_agent_is_raised_from_the_header_in_a_version_of_its_own(world: World) -> None:
    shown = at_cap(world, "agent", "steps")
    assert "Stopped at the agent&#x27;s limit of 4 steps." in shown
    assert "may-build" in shown
    sent = {"cap": "steps", "level": "agent", "agent": world.agent.pk, "limit": "8"}
    assert world.team[Role.VIEWER].post(f"/sessions/{world.session.pk}/limit/", sent).status_code == 403
    world.alice.post(f"/sessions/{world.session.pk}/limit/", sent)
    newest = AgentVersion.objects.filter(agent=world.agent).latest("version")
    assert newest.spec["holdfast"]["limits"] == {"steps": 8}


def test_a_cap_of_the_workspace_is_raised_from_the_header_by_who_administers_it(world: World) -> None:
    shown = at_cap(world, "workspace", "tokens_per_day")
    assert "may-administer" in shown
    sent = {"cap": "tokens_per_day", "level": "workspace", "limit": "9,000"}
    said = world.alice.post(f"/sessions/{world.session.pk}/limit/", sent, headers={"HX-Request": "true"})
    assert "9,000" in said["HX-Trigger"]
    assert Workspace.objects.get(pk=world.session.workspace_id).limits == {"tokens_per_day": 9000}
    refused = world.alice.post(f"/sessions/{world.session.pk}/limit/", {**sent, "level": "session"}, follow=True)
    assert "Only a workspace" in refused.content.decode()


def test_once_its_cap_is_raised_a_session_names_the_other_one_that_holds_it(world: World) -> None:
    at_cap(world, "session", "steps")
    spent = {**world.fresh().usage, "steps": 4, "model_requests": 4}
    Session.objects.filter(pk=world.session.pk).update(usage=spent, limits={"steps": 4})
    Workspace.objects.filter(pk=world.session.workspace_id).update(limits={"model_requests": 4})
    assert "Stopped at this session&#x27;s limit of 4 steps." in render.state_html(world.fresh())
    sent = {"cap": "steps", "level": "session", "limit": "8"}
    said = world.alice.post(f"/sessions/{world.session.pk}/limit/", sent, headers={"HX-Request": "true"})
    shown = said.content.decode()
    assert 'hx-target="#state-now"' in shown
    assert "Stopped at the workspace&#x27;s limit of 4 model requests." in shown
    assert 'name="cap" form="raise" value="model_requests"' in shown


def test_a_cap_of_the_installation_says_where_it_is_set(world: World) -> None:
    shown = at_cap(world, "installation", "steps")
    assert "setting of the installation" in shown
    assert 'form="raise"' not in shown
    sent = {"cap": "steps", "level": "installation", "limit": "8"}
    assert (
        "There is no such limit."
        in world.alice.post(f"/sessions/{world.session.pk}/limit/", sent, follow=True).content.decode()
    )


def test_money_that_no_one_can_count_is_a_limit_to_be_lifted(world: World) -> None:
    world.append(world.running())
    note = {"cap": "list_cost", "level": "session", "limit": 400, "used": 3}
    world.append(world.idle({"type": "budget_reached", "holdfast": note}))
    shown = render.state_html(world.fresh())
    assert "no known price" in shown
    assert ">Lift</button>" in shown


def test_every_limit_of_a_session_is_changed_on_its_page_and_a_wrong_one_is_told_at_its_field(world: World) -> None:
    Workspace.objects.filter(pk=world.session.workspace_id).update(limits={"tokens": 5000})
    address = f"/sessions/{world.session.pk}/limits/"
    shown = world.alice.get(address).content.decode()
    assert "<strong>5,000</strong>" in shown
    sent = {"steps": "12", "tokens": "4000", "approval_seconds": "60", "running_seconds": "0"}
    wrong = world.alice.post(address, sent)
    assert (wrong.status_code, list(wrong.context["form"].errors)) == (422, ["running_seconds"])
    assert 'id="id_running_seconds_error"' in wrong.content.decode()
    world.session.agent_snapshot["model"]["id"] = "of-nobody"
    world.session.save(update_fields=["agent_snapshot"])
    unpriced = world.alice.post(address, {**sent, "running_seconds": "", "list_cost": "2.50"})
    assert (unpriced.status_code, list(unpriced.context["form"].errors)) == (422, ["list_cost"])
    assert world.fresh().limits == {}
    assert world.alice.post(address, {**sent, "running_seconds": ""}).status_code == 302
    assert world.fresh().limits == {"steps": 12, "tokens": 4000, "approval_seconds": 60}
    world.alice.post(address, {"steps": "", "tokens": "4000", "approval_seconds": "60"})
    assert world.fresh().limits == {"tokens": 4000, "approval_seconds": 60}


def test_who_only_watches_sees_limits_and_changes_none(world: World) -> None:
    address = f"/sessions/{world.session.pk}/limits/"
    page = world.team[Role.VIEWER].get(address)
    assert page.context["changes"] is False
    assert 'name="steps"' not in page.content.decode()
    assert world.team[Role.VIEWER].post(address, {"steps": "3"}).status_code == 403
    assert world.fresh().limits == {}


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
