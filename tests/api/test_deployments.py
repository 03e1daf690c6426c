"""Deployments through the API (spec advanced 13): what is refused, pinning, pausing, runs by hand and by the clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from agents.actions import archive_agent, archive_environment
from agents.models import Environment
from contract.errors import RateLimited
from contract.roles import Role
from sessions.models import Deployment, DeploymentRun, Session
from sessions.schedules import runs
from tests.api.conftest import Caller, caller, fits

DEPLOYMENT = "beta_managed_agents_deployment.BetaManagedAgentsDeployment"
RUN = "beta_managed_agents_deployment_run.BetaManagedAgentsDeploymentRun"
MESSAGE = {"type": "user.message", "content": [{"type": "text", "text": "Look around"}]}
HOURLY = {"type": "cron", "expression": "0 * * * *", "timezone": "Europe/Berlin"}


@pytest.fixture
def body(agent: str, environment: str) -> dict[str, Any]:
    return {"name": "Nightly", "agent": agent, "environment_id": environment, "initial_events": [MESSAGE]}


@pytest.fixture
def hourly(alice: Caller, body: dict[str, Any]) -> str:
    made: str = alice.post("/deployments", {**body, "schedule": HOURLY})["id"]
    return made


def due(deployment_id: str, hours: float = 1) -> None:
    """Put the next due time into the past, as if nobody had swept since."""
    row = Deployment.objects.get(pk=deployment_id)
    assert row.next_run_at is not None
    row.next_run_at -= timedelta(hours=hours)
    row.fire_at, row.jitter_seconds = row.next_run_at, 0.0
    row.save()


def scheduled(deployment_id: str) -> list[DeploymentRun]:
    return list(DeploymentRun.objects.filter(deployment_id=deployment_id).order_by("scheduled_at"))


def test_a_deployment_pins_the_agents_version_of_its_day(alice: Caller, agent: str, body: dict[str, Any]) -> None:
    made = alice.post("/deployments", {**body, "schedule": HOURLY, "metadata": {"team": "ops"}})
    fits(DEPLOYMENT, made)
    assert made["agent"] == {"type": "agent", "id": agent, "version": 1}
    assert (made["status"], made["paused_reason"], made["description"], made["resources"]) == ("active", None, None, [])
    assert len(made["schedule"]["upcoming_runs_at"]) == 5
    assert made["schedule"]["last_run_at"] is None
    assert "budget" not in made
    alice.post(f"/agents/{agent}", {"name": "Later"})
    assert alice.get(f"/deployments/{made['id']}")["agent"]["version"] == 1
    assert alice.post(f"/deployments/{made['id']}", {"agent": agent})["agent"]["version"] == 2
    assert Session.objects.count() == 0  # it was tried without a trace


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"name": " "}, 400, "name: must not be empty"),
        ({"initial_events": []}, 400, "initial_events: must hold 1 to 50 events"),
        ({"initial_events": [MESSAGE] * 51}, 400, "initial_events: must hold 1 to 50 events"),
        ({"initial_events": [{"type": "user.message", "content": []}]}, 400, "initial_events.0.content"),
        ({"agent": "agent_nowhere"}, 404, "There is no agent"),
        ({"environment_id": "env_nowhere"}, 404, "There is no environment"),
        ({"resources": [{"type": "file", "file_id": "file_nowhere"}]}, 404, "There is no file"),
        ({"vault_ids": [f"vlt_{n}" for n in range(51)]}, 400, "vault_ids: at most 50"),
        ({"schedule": {**HOURLY, "expression": "0 0 30 2 *"}}, 400, "schedule.expression"),
        ({"schedule": {**HOURLY, "expression": "* * * * * *"}}, 400, "schedule.expression"),
        ({"schedule": {**HOURLY, "timezone": "Berlin"}}, 400, "schedule.timezone"),
        ({"budget": {"type": "limit", "max_list_cost": {"amount": "0.5", "currency": "USD"}}}, 400, "budget"),
        ({"metadata": {"k": "v" * 513}}, 400, "metadata.k"),
    ],
)
def test_what_could_never_run_is_refused_at_once(
    alice: Caller, body: dict[str, Any], change: dict[str, Any], status: int, said: str
) -> None:
    refused = alice.refused("POST", "/deployments", {**body, **change})
    assert refused.status == status
    assert refused.message.startswith(said), refused.message
    assert alice.get("/deployments")["data"] == []


def test_an_archived_agent_can_not_be_deployed(alice: Caller, agent: str, body: dict[str, Any]) -> None:
    archive_agent(agent, alice.acting)
    assert "is archived" in alice.refused("POST", "/deployments", body).message


def test_an_update_keeps_what_is_left_out_and_null_clears(alice: Caller, body: dict[str, Any], hourly: str) -> None:
    kept = alice.post(f"/deployments/{hourly}", {"description": "Looks around", "metadata": {"a": "1"}})
    assert (kept["name"], kept["description"], kept["metadata"]) == ("Nightly", "Looks around", {"a": "1"})
    cleared = alice.post(
        f"/deployments/{hourly}",
        {"description": None, "schedule": None, "resources": None, "vault_ids": [], "metadata": {"a": None}},
    )
    assert (cleared["description"], cleared["schedule"], cleared["metadata"]) == (None, None, {})
    assert Deployment.objects.get(pk=hourly).fire_at is None


def test_an_update_that_changes_nothing_changes_no_time(alice: Caller, hourly: str) -> None:
    before = alice.get(f"/deployments/{hourly}")["updated_at"]
    assert alice.post(f"/deployments/{hourly}", {"name": "Nightly"})["updated_at"] == before


def test_pausing_and_going_on(alice: Caller, hourly: str) -> None:
    paused = alice.post(f"/deployments/{hourly}/pause")
    assert (paused["status"], paused["paused_reason"]) == ("paused", {"type": "manual"})
    assert len(paused["schedule"]["upcoming_runs_at"]) == 5
    assert [one["id"] for one in alice.get("/deployments?status=paused")["data"]] == [hourly]
    assert alice.get("/deployments?status=active")["data"] == []
    due_row = Deployment.objects.get(pk=hourly)
    assert (due_row.next_run_at, due_row.fire_at) == (None, None)
    assert runs.fire_due() == 0
    assert alice.post(f"/deployments/{hourly}/run")["session_id"].startswith("sesn_")  # by hand it still runs
    going = alice.post(f"/deployments/{hourly}/unpause")
    assert (going["status"], going["paused_reason"]) == ("active", None)
    again = Deployment.objects.get(pk=hourly)
    assert again.next_run_at is not None
    assert again.next_run_at > timezone.now()


def test_an_archived_deployment_is_closed_for_good(alice: Caller, hourly: str) -> None:
    alice.post(f"/deployments/{hourly}/pause")
    closed = alice.post(f"/deployments/{hourly}/archive")
    assert (closed["status"], closed["paused_reason"], closed["schedule"]["upcoming_runs_at"]) == ("active", None, [])
    assert alice.post(f"/deployments/{hourly}/archive")["archived_at"] == closed["archived_at"]
    assert alice.get("/deployments")["data"] == []
    assert len(alice.get("/deployments?include_archived=true")["data"]) == 1
    for path, sent in (("", {"name": "x"}), ("/pause", None), ("/unpause", None), ("/run", None)):
        assert alice.refused("POST", f"/deployments/{hourly}{path}", sent).status == 400


def test_a_manual_run_starts_a_session_of_the_deployment(alice: Caller, body: dict[str, Any]) -> None:
    events = [{"type": "system.message", "content": [{"type": "text", "text": "Be brief"}]}, MESSAGE]
    made = alice.post("/deployments", {**body, "initial_events": events})
    run = alice.post(f"/deployments/{made['id']}/run")
    fits(RUN, run)
    assert (run["error"], run["trigger_context"]) == (None, {"type": "manual"})
    session = alice.get(f"/sessions/{run['session_id']}")
    assert (session["deployment_id"], session["status"], session["title"]) == (made["id"], "running", "Nightly")
    assert [one["id"] for one in alice.get(f"/sessions?deployment_id={made['id']}")["data"]] == [session["id"]]
    assert alice.get("/sessions?deployment_id=depl_unknown")["data"] == []
    assert alice.get(f"/deployment_runs/{run['id']}") == run
    assert alice.get(f"/deployments/{made['id']}")["schedule"] is None


def test_a_manual_run_that_fails_is_a_record_and_pauses_nothing(
    alice: Caller, body: dict[str, Any], hourly: str, environment: str
) -> None:
    archive_environment(environment, alice.acting)
    run = alice.post(f"/deployments/{hourly}/run")
    fits(RUN, run)
    assert (run["session_id"], run["error"]["type"]) == (None, "environment_archived_error")
    assert environment in run["error"]["message"]
    assert alice.get(f"/deployments/{hourly}")["status"] == "active"


def test_a_due_time_fires_once_however_often_and_by_however_many_it_is_swept(alice: Caller, hourly: str) -> None:
    due(hourly)
    assert [runs.fire_due() for _ in range(3)] == [1, 0, 0]
    (run,) = scheduled(hourly)
    assert run.scheduled_at is not None
    assert run.session_id
    shown = alice.get(f"/deployment_runs?deployment_id={hourly}&trigger_type=schedule&has_error=false")["data"]
    assert [one["id"] for one in shown] == [run.pk]
    fits(RUN, shown[0])
    assert shown[0]["trigger_context"]["type"] == "schedule"
    assert alice.get(f"/deployments/{hourly}")["schedule"]["last_run_at"] == shown[0]["created_at"]


def test_a_schedule_that_is_set_anew_to_a_time_that_ran_does_not_run_it_again(alice: Caller, hourly: str) -> None:
    due(hourly)
    runs.fire_due()
    (run,) = scheduled(hourly)
    Deployment.objects.filter(pk=hourly).update(next_run_at=run.scheduled_at, fire_at=run.scheduled_at)
    runs.fire_due()
    assert len(scheduled(hourly)) == 1


def test_every_due_time_of_an_outage_is_made_up_for(alice: Caller, hourly: str) -> None:
    due(hourly, hours=5)
    while runs.fire_due():
        pass
    found = [run.scheduled_at for run in scheduled(hourly)]
    assert len(found) == len(set(found)) == 5


def test_the_latest_alone_is_made_up_for_where_the_operator_says_so(alice: Caller, hourly: str, settings: Any) -> None:
    settings.HOLDFAST_MISSED_RUNS = "latest"
    due(hourly, hours=5)
    while runs.fire_due():
        pass
    (run,) = scheduled(hourly)
    assert run.scheduled_at is not None
    assert timezone.now() - run.scheduled_at < timedelta(hours=1)


def test_an_outage_of_days_is_made_up_for_by_a_hundred_runs_of_the_last_day_at_most(
    alice: Caller, body: dict[str, Any], settings: Any
) -> None:
    every = {**HOURLY, "expression": "*/20 * * * *"}
    made = alice.post("/deployments", {**body, "schedule": every})["id"]
    due(made, hours=24 * 9)
    row = Deployment.objects.get(pk=made)
    assert row.next_run_at is not None
    first = runs._not_missed(row, row.next_run_at)
    assert timedelta(hours=23) < timezone.now() - first <= timedelta(hours=24, minutes=21)


def test_a_yearly_run_that_was_missed_by_days_still_runs_once(alice: Caller, body: dict[str, Any]) -> None:
    made = alice.post("/deployments", {**body, "schedule": {**HOURLY, "expression": "0 0 1 1 *"}})["id"]
    due(made, hours=24 * 365)
    while runs.fire_due():
        pass
    assert len(scheduled(made)) == 1


@pytest.mark.parametrize("how", ["archived", "deleted"])
def test_a_scheduled_run_that_can_not_work_pauses_with_the_reason(
    alice: Caller, hourly: str, environment: str, how: str
) -> None:
    if how == "archived":
        archive_environment(environment, alice.acting)
    else:
        Environment.objects.filter(pk=environment).delete()
    due(hourly)
    runs.fire_due()
    (run,) = scheduled(hourly)
    assert run.error is not None
    kind = "environment_archived_error" if how == "archived" else "environment_not_found_error"
    assert run.error["type"] == kind
    shown = alice.get(f"/deployments/{hourly}")
    fits(DEPLOYMENT, shown)
    assert (shown["status"], shown["paused_reason"]) == ("paused", {"type": "error", "error": {"type": kind}})
    due_again = Deployment.objects.get(pk=hourly)
    assert due_again.fire_at is None


def test_a_rate_limit_waits_for_the_next_due_time(alice: Caller, hourly: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def limited(*_: Any, **__: Any) -> None:
        raise RateLimited("Too many sessions.", retry_after=9)

    monkeypatch.setattr(runs, "create_session", limited)
    due(hourly)
    runs.fire_due()
    (run,) = scheduled(hourly)
    assert run.error == {"type": "session_rate_limited_error", "message": "Too many sessions."}
    assert alice.get(f"/deployments/{hourly}")["status"] == "active"
    after = Deployment.objects.get(pk=hourly)
    assert after.fire_at is not None


def test_a_database_that_fails_for_a_moment_pauses_nothing(
    alice: Caller, hourly: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise OperationalError("deadlock detected")

    due(hourly)
    with monkeypatch.context() as patched:
        patched.setattr(runs, "create_session", lost)
        with pytest.raises(OperationalError):
            runs.fire_due()
    assert scheduled(hourly) == []
    assert runs.fire_due() == 1
    (run,) = scheduled(hourly)
    assert run.error is None


def test_archiving_the_agent_archives_its_deployments(alice: Caller, hourly: str, agent: str) -> None:
    alice.post(f"/agents/{agent}/archive")
    assert alice.get(f"/deployments/{hourly}")["archived_at"] is not None
    assert DeploymentRun.objects.count() == 0


def test_lists_filter_and_page(alice: Caller, body: dict[str, Any], agent: str) -> None:
    for number in range(3):
        alice.post("/deployments", {**body, "name": f"D{number}"})
    first = alice.get("/deployments?limit=2")
    rest = alice.get(f"/deployments?limit=2&page={first['next_page']}")
    assert [one["name"] for one in first["data"] + rest["data"]] == ["D2", "D1", "D0"]
    assert len(alice.get(f"/deployments?agent_id={agent}")["data"]) == 3
    assert alice.get("/deployments?agent_id=agent_other")["data"] == []
    assert alice.get("/deployments?created_at[gte]=2100-01-01T00:00:00Z")["data"] == []
    for bad in ("limit=101", "status=archived", "status=active&include_archived=true", "page=page_x"):
        assert alice.refused("GET", f"/deployments?{bad}").status == 400
    assert alice.get("/deployment_runs?deployment_id=depl_unknown&limit=1000")["data"] == []
    for bad in ("limit=1001", "trigger_type=cron"):
        assert alice.refused("GET", f"/deployment_runs?{bad}").status == 400


def test_others_see_nothing_of_it_and_a_viewer_changes_nothing(
    alice: Caller, charlie: Caller, body: dict[str, Any], hourly: str
) -> None:
    run = alice.post(f"/deployments/{hourly}/run")
    assert charlie.get("/deployments")["data"] == charlie.get("/deployment_runs")["data"] == []
    for method, path in (
        ("GET", f"/deployments/{hourly}"),
        ("POST", f"/deployments/{hourly}/run"),
        ("POST", f"/deployments/{hourly}/pause"),
        ("POST", f"/deployments/{hourly}/archive"),
        ("GET", f"/deployment_runs/{run['id']}"),
    ):
        assert charlie.refused(method, path).status == 404
    from agents.models import Workspace

    viewer = caller("viewer", Role.VIEWER, Workspace.objects.get(pk=alice.acting.workspace_id))
    assert viewer.refused("POST", "/deployments", body).status == 403
    assert viewer.refused("POST", f"/deployments/{hourly}/run").status == 403
    assert viewer.get(f"/deployments/{hourly}")["id"] == hourly


def test_a_workspace_has_a_thousand_schedules_at_most(
    alice: Caller, body: dict[str, Any], hourly: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sessions.schedules import actions

    monkeypatch.setattr(actions, "MAX_SCHEDULED", 1)
    assert "at most 1 scheduled" in alice.refused("POST", "/deployments", {**body, "schedule": HOURLY}).message
    by_hand = alice.post("/deployments", body)["id"]
    assert alice.refused("POST", f"/deployments/{by_hand}", {"schedule": HOURLY}).status == 400
    assert alice.post(f"/deployments/{hourly}", {"name": "Same schedule"})["name"] == "Same schedule"
