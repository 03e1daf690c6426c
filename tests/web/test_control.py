"""The overview, the list of sessions, usage and system: what they say, and that they say the same as the API."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from anthropic.types.beta.sessions import beta_managed_agents_session_error_event as sdk_errors
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from contract.roles import Role
from credentials.actions import issue_api_key
from credentials.models import AuditRecord
from sessions import events as ev
from sessions import slices
from sessions.actions import create_session
from sessions.events import Draft
from sessions.models import Machine, SavedView, Session, UsageSlice
from sessions.projections import faults
from sessions.system import state
from sessions.verify import verify
from tests.web.conftest import World, bash, result, text


def page(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None
    return str(match.group(1))


def outside_call() -> Draft:
    return Draft(ev.TOOL_USE, dict(bash("make nightly").payload), private={"outside": True})


def another(world: World, title: str, **more: Any) -> Session:
    body = {"agent": world.agent.pk, "environment_id": world.environment.pk, "title": title, **more}
    return create_session(body, world.acting)


def used(cost: str | None, *, tokens: int = 100, model: str = "demo") -> Draft:
    private = {"usage": {"input_tokens": tokens, "model_requests": 1}, "cost": cost, "model": model}
    return Draft(ev.MODEL_END, {"is_error": False}, private=private)


def test_a_session_that_waits_for_its_worker_needs_nobody(world: World) -> None:
    (call,) = world.append(world.running(), outside_call(), world.idle({"type": "requires_action", "event_ids": []}))[
        2:3
    ]
    assert (world.fresh().pending_count, world.fresh().outside_count) == (1, 1)
    shown = page(world.alice, "/")
    assert '<span class="count" id="needs-count">0</span>' in shown
    assert "Start a worker" in shown
    assert f"/environments/{world.environment.pk}/workers/" in shown
    assert "(1)" not in shown[: shown.index("</title>")]
    assert "Tidy up" in page(world.alice, "/sessions/?status=worker")
    assert "No session matches" in page(world.alice, "/sessions/?status=needs")
    assert "Waits for a worker" in page(world.alice, f"/sessions/{world.session.pk}/")
    world.append(Draft(ev.USER_TOOL_RESULT, {"tool_use_id": call.pk, "content": text("built"), "is_error": False}))
    assert world.fresh().outside_count == 0
    assert verify(world.fresh()) == []


def test_a_worker_that_works_is_not_asked_for_and_a_person_comes_first(world: World) -> None:
    world.append(world.running(), outside_call(), bash("rm -r build", ask=True))
    assert (world.fresh().pending_count, world.fresh().outside_count) == (2, 1)
    shown = page(world.alice, "/")
    assert "Asks: <code>$ rm -r build</code>" in shown
    assert "Start a worker" not in shown


def test_a_session_at_its_limit_is_among_those_that_need_somebody(world: World) -> None:
    world.append(world.running(), world.idle({"type": "budget_reached"}))
    shown = page(world.alice, "/")
    assert "Stopped at its limit" in shown
    assert "(1)" in shown[: shown.index("</title>")]
    assert "favicon-needs.svg" in found(r'<link rel="icon" href="([^"]+)"', shown)


def test_an_empty_workspace_starts_a_demo_session_with_one_button(world: World) -> None:
    assert "Start a demo session" in page(world.charlie, "/")
    answer = world.charlie.post("/sessions/demo/", follow=True)
    assert answer.status_code == 200
    assert "A first look" in answer.content.decode()
    assert "Start a demo session" not in page(world.charlie, "/")


def test_a_search_leads_to_the_entry_that_answers(world: World) -> None:
    *_, said = world.append(world.running(), Draft(ev.AGENT_MESSAGE, {"content": text("The turbine ran hot")}))
    shown = page(world.alice, "/sessions/?q=turb")
    assert f"/sessions/{world.session.pk}/?event={said.pk}" in shown
    assert "The <mark>turbine</mark> ran hot" in shown
    assert world.session.pk not in page(world.charlie, "/sessions/?q=turb")
    assert "No session matches" in page(world.alice, "/sessions/?q=%21%21")


def test_filters_combine_and_an_empty_answer_offers_to_drop_each(world: World) -> None:
    assert "Tidy up" in page(world.alice, "/sessions/?by=alice&since=24h&status=idle")
    assert "No session matches" in page(world.alice, "/sessions/?by=*keys")
    shown = page(world.alice, "/sessions/?by=bob&since=24h")
    assert "Drop Started by: bob" in shown
    assert "Drop Started: In the last 24 hours" in shown
    assert "Tidy up" in page(world.alice, "/sessions/?since=2026-02-30")


def test_pages_follow_each_other_by_key_in_both_directions(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sessions.listing.PAGE_SIZE", 2)
    for number in range(4):
        another(world, f"No {number}")
    seen, path = [], "/sessions/"
    while path:
        shown = page(world.alice, path)
        seen += re.findall(r'<a class="title" href="[^"]+">([^<]+)</a>', shown)
        older = re.search(r'rel="next" href="([^"]+)"', shown)
        last, path = path, "/sessions/" + older.group(1).replace("&amp;", "&") if older else ""
    assert seen == ["No 3", "No 2", "No 1", "No 0", "Tidy up"]
    newer = found(r'rel="prev" href="([^"]+)"', page(world.alice, last)).replace("&amp;", "&")
    assert "No 1" in page(world.alice, f"/sessions/{newer}")


def test_a_view_is_kept_used_renamed_and_deleted_by_its_owner_only(world: World) -> None:
    world.alice.post("/sessions/views/", {"name": " Stuck  ones ", "status": "failed", "page": "x"})
    view = SavedView.objects.get()
    assert (view.name, view.filters) == ("Stuck ones", {"status": "failed"})
    assert "Status: Failed" in page(world.alice, f"/sessions/?view={view.pk}")
    assert "Stuck ones" not in page(world.bob, "/sessions/")
    twice = world.alice.post("/sessions/views/", {"name": "Stuck ones", "status": "idle"}, follow=True)
    assert "you have a view called Stuck ones already" in twice.content.decode()
    assert world.bob.post(f"/sessions/views/{view.pk}/", {"delete": "yes"}).status_code == 404
    world.alice.post(f"/sessions/views/{view.pk}/", {"name": "Failed"})
    assert SavedView.objects.get().name == "Failed"
    world.alice.post(f"/sessions/views/{view.pk}/", {"delete": "yes"})
    assert not SavedView.objects.exists()


def test_several_sessions_are_stopped_or_archived_after_a_question(world: World) -> None:
    other = another(world, "Another")
    world.append(world.running())
    ids = [world.session.pk, other.pk]
    asked = world.alice.post("/sessions/together/", {"action": "archive", "id": ids, "query": "q=x"}).content.decode()
    assert "Archive 2 sessions?" in asked
    assert Session.objects.filter(archived_at=None).count() == 2
    sure = {"action": "archive", "id": ids, "sure": "yes", "reason": "Cleaning up"}
    told = world.alice.post("/sessions/together/", sure, follow=True).content.decode()
    assert "1 session is archived." in told
    assert f"{world.session.pk}: " in told
    assert Session.objects.get(archived_at=None).pk == world.session.pk
    records = AuditRecord.objects.filter(action="session.archived_in_bulk")
    assert [(record.after or {})["reason"] for record in records] == ["Cleaning up"]
    world.alice.post("/sessions/together/", {"action": "stop", "id": [world.session.pk], "sure": "yes"})
    assert world.session.events.filter(type=ev.USER_INTERRUPT).count() == 1


def test_a_session_of_another_workspace_is_neither_shown_nor_stopped(world: World) -> None:
    asked = world.charlie.post("/sessions/together/", {"action": "stop", "id": [world.session.pk]}).content.decode()
    assert world.session.pk not in asked
    sure = {"action": "stop", "id": [world.session.pk], "sure": "yes"}
    assert "There is no session" in world.charlie.post("/sessions/together/", sure, follow=True).content.decode()


def test_the_list_tells_last_step_time_and_money_against_the_cap(world: World) -> None:
    Session.objects.filter(pk=world.session.pk).update(
        limits={"list_cost": {"amount": "1000", "currency": "USD"}}, cost="2.5"
    )
    world.append(world.running(), bash("make   all"))
    shown = page(world.alice, "/sessions/")
    assert "$ make all" in shown
    assert "$2.50" in shown
    assert "of $10.00" in shown


def spend(world: World) -> None:
    world.append(world.running(), used("0.25"), used("0.5", model="big"), used(None, model="big", tokens=7))


def test_usage_adds_up_and_says_the_same_everywhere(world: World) -> None:
    spend(world)
    assert [(one.model, one.requests, str(one.cost), one.unpriced) for one in UsageSlice.objects.order_by("model")] == [
        ("big", 2, "0.5000000000", 1),
        ("demo", 1, "0.2500000000", 0),
    ]
    _, plain = issue_api_key(workspace=world.workspace, name="u", role=Role.VIEWER, created_by=None)
    answer = Client().get("/v1/x/usage?by=model", headers={"x-api-key": plain}).json()
    assert [(row["key"], row["list_cost"]["amount"], row["unpriced_requests"]) for row in answer["data"]] == [
        ("big", "50", 1),
        ("demo", "25", 0),
    ]
    assert answer["total"]["input_tokens"] == 207
    rows = list(csv.DictReader(io.StringIO(world.alice.get("/usage/?by=model&format=csv").content.decode())))
    assert [(row["model"], row["cost_usd"], row["input_tokens"]) for row in rows] == [
        ("big", "0.500000", "107"),
        ("demo", "0.250000", "100"),
    ]
    shown = page(world.alice, "/usage/?by=user")
    assert "$0.75" in shown
    assert "1 request has no known price" in shown
    assert "$0.75" in page(world.alice, "/")
    assert "$0.75" not in page(world.charlie, "/usage/")


def test_usage_outlives_its_session(world: World) -> None:
    spend(world)
    world.session.delete()
    assert UsageSlice.objects.count() == 2


def test_days_are_those_of_the_reader(world: World) -> None:
    at = datetime.combine(timezone.now().date() - timedelta(days=2), datetime.min.time(), UTC) + timedelta(hours=23)
    UsageSlice.objects.create(
        workspace=world.workspace, agent=world.agent, session_id="s", at=slices.quarter(at), model="demo", requests=1
    )
    assert f"{at:%a} {at.day} {at:%b %Y}" in page(world.alice, "/usage/")
    world.alice.cookies["zone"] = "Asia/Kathmandu"
    later = at + timedelta(days=1)
    assert f"{later:%a} {later.day} {later:%b %Y}" in page(world.alice, "/usage/")
    world.alice.cookies["zone"] = "No/Where"
    assert "by days of UTC" in page(world.alice, "/usage/")


@pytest.mark.parametrize(
    "query",
    [
        "since=2020-01-01",
        "since=2026-05-05&until=2026-05-04",
        "time_zone=Mars",
        "since=9999-12-31&until=9999-12-31",
        "until=0001-01-05",
    ],
)
def test_usage_refuses_what_it_cannot_tell(world: World, query: str) -> None:
    _, plain = issue_api_key(workspace=world.workspace, name="u", role=Role.VIEWER, created_by=None)
    answer = Client().get(f"/v1/x/usage?{query}", headers={"x-api-key": plain})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(("since: ", "time_zone: "))


def test_search_and_views_over_the_api(world: World) -> None:
    world.append(Draft(ev.AGENT_MESSAGE, {"content": text("The turbine ran hot")}))
    _, plain = issue_api_key(workspace=world.workspace, name="s", role=Role.VIEWER, created_by=None)
    client = Client(headers={"x-api-key": plain})
    (hit,) = client.get("/v1/x/search?q=turbine").json()["events"]
    assert (hit["session_id"], hit["snippet"], hit["found"]) == (world.session.pk, "The turbine ran hot", ["turbine"])
    assert client.get("/v1/x/search?q=tidy").json()["sessions"][0]["title"] == "Tidy up"
    assert client.get("/v1/x/search?q=%21").status_code == 400
    body = {"name": "Failed", "filters": {"status": "failed"}}
    made = client.post("/v1/x/views", body, content_type="application/json").json()
    assert client.get("/v1/x/views").json()["data"] == [made]
    wrong = {"name": "x", "filters": {"status": "lost"}}
    refused = client.post("/v1/x/views", wrong, content_type="application/json")
    assert "filters.status: 'lost'" in refused.json()["error"]["message"]
    renamed = client.post(f"/v1/x/views/{made['id']}", {"name": "Gone wrong"}, content_type="application/json")
    assert renamed.json()["name"] == "Gone wrong"
    assert client.delete(f"/v1/x/views/{made['id']}").json()["type"] == "session_view_deleted"
    assert client.get("/v1/x/views").json()["data"] == []


def test_every_error_of_the_wire_is_in_the_catalogue_and_explained_where_it_shows(world: World) -> None:
    union = get_args(get_args(sdk_errors.Error)[0])
    types = {
        get_args(variant.model_fields["type"].annotation)[0] for variant in union if hasattr(variant, "model_fields")
    }
    assert types == set(faults.CATALOGUE)
    shown = page(world.alice, "/system/errors/")
    assert all(f'id="{fault}"' in shown for fault in types)
    error = faults.session_error("mcp_connection_failed_error", "It is away.", "retrying")
    world.append(Draft(ev.SESSION_ERROR, {"error": error}))
    assert "/system/errors/#mcp_connection_failed_error" in page(world.alice, f"/sessions/{world.session.pk}/")


def test_the_system_page_says_what_is_missing_and_lets_a_turn_be_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "LIVENESS_CLASS", 0x7E57)  # a test before this one may have made this process a worker
    error = faults.session_error("billing_error", "No credit is left.", "exhausted")
    world.append(world.running(), Draft(ev.SESSION_ERROR, {"error": error}), world.idle({"type": "retries_exhausted"}))
    shown = page(world.alice, "/system/")
    assert "celery -A config worker" in shown
    assert "No credit is left." in shown
    assert "/system/errors/#billing_error" in shown
    assert "Try again" not in page(world.bob, "/system/")
    assert "No credit is left." not in page(world.charlie, "/system/")
    world.alice.post(f"/sessions/{world.session.pk}/retry/")
    assert world.fresh().status == "running"
    assert "No credit is left." not in page(world.alice, "/system/")


def test_an_administrator_of_the_installation_drains_a_machine_after_a_question(world: World) -> None:
    Machine.objects.create(name="rack-7", seen_at=timezone.now())
    assert "rack-7" in page(world.alice, "/system/")
    assert "Drain…" not in page(world.alice, "/system/")
    assert world.alice.post("/system/machines/rack-7/", {"action": "drain"}).status_code == 403
    get_user_model().objects.filter(username="alice").update(is_superuser=True)
    assert "Drain…" in page(world.alice, "/system/")
    Session.objects.filter(pk=world.session.pk).update(machine="rack-7", status="running")
    assert "1 session runs there now." in page(world.alice, "/system/machines/rack-7/")
    assert not Machine.objects.get(name="rack-7").draining
    for action, draining, said in (
        ("drain", True, "rack-7 is draining"),
        ("take", False, "rack-7 takes sessions again"),
    ):
        answer = world.alice.post("/system/machines/rack-7/", {"action": action}, follow=True)
        assert said in answer.content.decode()
        assert Machine.objects.get(name="rack-7").draining is draining
    done = AuditRecord.objects.filter(object_id="rack-7").order_by("id").values_list("action", "actor")
    assert list(done) == [("machine.drained", "alice"), ("machine.taken_back", "alice")]


def test_a_failed_call_is_shown_in_a_line(world: World) -> None:
    *_, call = world.append(world.running(), bash("false"))
    world.append(result(call, "exit 1", is_error=True))
    assert "$ false" in page(world.alice, "/sessions/")


def test_where_what_is_said_is_sealed_the_list_still_tells_the_last_step(world: World, settings: Any) -> None:
    settings.HOLDFAST_SEAL_EVENTS = True
    world.append(world.running(), bash("make secret-target"))
    assert "$ make secret-target" in page(world.alice, "/sessions/")
    world.append(Draft(ev.AGENT_MESSAGE, {"content": text("A sealed word")}))
    shown = page(world.alice, "/sessions/?q=tidy")
    assert "A sealed word" in shown
    assert "only titles were searched" in shown


def test_a_running_session_tells_its_time_without_scripts(world: World) -> None:
    world.append(world.running())
    Session.objects.update(active_seconds=60, running_since=timezone.now() - timedelta(seconds=65))
    assert "2 m 0" in page(world.alice, "/sessions/")
    assert "2 m 0" in page(world.alice, "/")
