"""The pages of deployments: the form, the next times, the buttons and what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.actions import archive_environment
from sessions.models import Deployment, DeploymentRun, Session
from tests.web.forms import NO_START_ROWS

if TYPE_CHECKING:
    from tests.web.conftest import World


def page(world: World, path: str = "") -> str:
    response = world.alice.get(f"/schedules/{world.deployment.pk}/{path}")
    assert response.status_code == 200
    return str(response.content.decode())


def sent(world: World, **changes: Any) -> dict[str, Any]:
    form = {
        "name": "Evening round",
        "agent": world.agent.pk,
        "environment": world.environment.pk,
        "task": "Look again",
        "expression": "0 21 * * *",
        "time_zone": "Europe/Berlin",
        **NO_START_ROWS,
    }
    return form | changes


def test_a_deployment_shows_its_next_five_times_and_its_task(world: World) -> None:
    shown = page(world)
    assert shown.count("data-moment") == 5
    assert "Look around" in shown
    assert "It has not run yet." in shown


def test_a_form_makes_one_and_another_changes_it(world: World) -> None:
    response = world.alice.post("/schedules/new/", sent(world))
    made = Deployment.objects.get(name="Evening round")
    assert response["Location"] == f"/schedules/{made.pk}/"
    assert (made.expression, made.time_zone, made.created_by_id) == (
        "0 21 * * *",
        "Europe/Berlin",
        world.acting.user_id,
    )
    world.alice.post(f"/schedules/{made.pk}/edit/", sent(world, expression="", task="Look once more"))
    made.refresh_from_db()
    assert (made.expression, made.fire_at) == ("", None)
    assert made.initial_events[0]["content"][0]["text"] == "Look once more"


def test_a_schedule_that_can_not_work_is_told_at_its_field_and_nothing_is_lost(world: World) -> None:
    response = world.alice.post("/schedules/new/", sent(world, expression="0 0 30 2 *"))
    shown = response.content.decode()
    assert response.status_code == 422
    assert "never matches a date" in shown
    assert "Look again" in shown
    response = world.alice.post("/schedules/new/", sent(world, time_zone="Berlin"))
    assert "is not an IANA time zone" in response.content.decode()


def test_run_now_leads_to_the_session_it_started(world: World) -> None:
    response = world.alice.post(f"/schedules/{world.deployment.pk}/run/")
    run = DeploymentRun.objects.get()
    assert response["Location"] == f"/sessions/{run.session_id}/"
    assert Session.objects.get(pk=run.session_id).deployment_id == world.deployment.pk
    assert run.session_id in page(world)
    listed = world.alice.get(f"/sessions/?deployment={world.deployment.pk}").content.decode()
    assert run.session_id in listed
    assert world.session.pk not in listed


def test_a_run_that_started_nothing_says_why(world: World) -> None:
    archive_environment(world.environment.pk, world.acting)
    response = world.alice.post(f"/schedules/{world.deployment.pk}/run/", follow=True)
    shown = response.content.decode()
    assert "No session was started." in shown
    assert "is archived and takes no new sessions" in shown


def test_pausing_and_resuming_by_the_button(world: World) -> None:
    shown = world.alice.post(f"/schedules/{world.deployment.pk}/pause/", follow=True).content.decode()
    assert "Paused by a person." in shown
    shown = world.alice.post(f"/schedules/{world.deployment.pk}/pause/", {"resume": "1"}, follow=True).content.decode()
    assert "Paused by a person." not in shown


def test_a_first_message_set_by_the_api_is_kept_by_the_form(world: World) -> None:
    events = [{"type": "user.message", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    Deployment.objects.filter(pk=world.deployment.pk).update(initial_events=events)
    assert "it is kept" in page(world, "edit/")
    world.alice.post(f"/schedules/{world.deployment.pk}/edit/", sent(world, name="Renamed"))
    found = Deployment.objects.get(pk=world.deployment.pk)
    assert (found.name, found.initial_events) == ("Renamed", events)
