"""``/v1/sessions``: create, overrides, update, archive, delete, list (spec core 8)."""

from __future__ import annotations

from typing import Any

import pytest

from sessions import log, nudges
from sessions.events import Draft
from sessions.models import Event, Session, Thread
from tests.api.conftest import Caller, fits

SESSION = "beta_managed_agents_session.BetaManagedAgentsSession"
THREAD = "sessions.beta_managed_agents_session_thread.BetaManagedAgentsSessionThread"
TOOLSET = {"type": "agent_toolset_20260401"}
CUSTOM = {"type": "custom", "name": "look_up", "description": "d", "input_schema": {"type": "object"}}
HELLO = {"type": "user.message", "content": [{"type": "text", "text": "hello"}]}


def put_status(session_id: str, event_type: str, **payload: Any) -> None:
    """Bring the primary thread, and with it the session, into a status through the log."""
    thread = Thread.objects.get(session_id=session_id, parent=None)
    about = {"session_thread_id": thread.pk, "agent_name": thread.agent_name}
    log.append(session_id, thread.pk, [Draft(event_type, {**about, **payload})])


def run(session_id: str) -> None:
    put_status(session_id, "session.thread_status_running")


def test_a_new_session_is_idle_and_shows_its_agent_snapshot(alice: Caller, agent: str, environment: str) -> None:
    made = alice.post(
        "/sessions", {"agent": agent, "environment_id": environment, "title": "T", "metadata": {"a": "b"}}
    )
    fits(SESSION, made)
    assert made["id"].startswith("sesn_")
    assert (made["status"], made["title"], made["metadata"]) == ("idle", "T", {"a": "b"})
    assert (made["resources"], made["vault_ids"], made["outcome_evaluations"]) == ([], [], [])
    for field in ("budget", "deployment_id", "archived_at"):
        assert made[field] is None
    shown = alice.get(f"/agents/{agent}")
    for field in ("metadata", "created_at", "updated_at", "archived_at"):
        del shown[field]
    assert made["agent"] == shown
    assert made["usage"]["list_cost"] == {"amount": "0", "currency": "USD"}
    assert made["usage"]["server_tool_use"] == {"web_search_requests": 0, "web_fetch_requests": 0}
    assert made["stats"]["active_seconds"] == 0
    assert Event.objects.count() == 0


def test_a_later_agent_update_does_not_reach_the_session(alice: Caller, agent: str, session: dict[str, Any]) -> None:
    alice.post(f"/agents/{agent}", {"name": "Renamed"})
    assert alice.get(f"/sessions/{session['id']}")["agent"]["name"] == "Coder"


def test_an_agent_reference_may_name_an_older_version(alice: Caller, agent: str, environment: str) -> None:
    alice.post(f"/agents/{agent}", {"name": "Renamed"})
    for reference, name in (
        (agent, "Renamed"),
        ({"type": "agent", "id": agent}, "Renamed"),
        ({"type": "agent", "id": agent, "version": 1}, "Coder"),
    ):
        made = alice.post("/sessions", {"agent": reference, "environment_id": environment})
        assert made["agent"]["name"] == name


def test_overrides_replace_whole_fields_and_keep_the_agents_identity(
    alice: Caller, agent: str, environment: str
) -> None:
    override = {
        "type": "agent_with_overrides",
        "id": agent,
        "model": {"id": "m-9", "effort": "low"},
        "system": None,
        "tools": [CUSTOM],
        "skills": None,
        "mcp_servers": [],
    }
    made = alice.post("/sessions", {"agent": override, "environment_id": environment})
    fits(SESSION, made)
    assert (made["agent"]["id"], made["agent"]["version"]) == (agent, 1)
    assert made["agent"]["model"]["id"] == "m-9"
    assert made["agent"]["model"]["effort"] == {"type": "low"}
    assert made["agent"]["system"] is None
    assert [tool["name"] for tool in made["agent"]["tools"]] == ["look_up"]
    assert alice.get(f"/agents/{agent}")["model"]["id"] == "demo"


def test_null_tools_in_an_override_clear_them(alice: Caller, agent: str, environment: str) -> None:
    override = {"type": "agent_with_overrides", "id": agent, "tools": None}
    made = alice.post("/sessions", {"agent": override, "environment_id": environment})
    assert made["agent"]["tools"] == []


def test_a_null_model_in_an_override_has_its_own_code(alice: Caller, agent: str, environment: str) -> None:
    override = {"type": "agent_with_overrides", "id": agent, "model": None}
    refused = alice.refused("POST", "/sessions", {"agent": override, "environment_id": environment})
    assert (refused.status, refused.details) == (400, {"error_code": "agent_model_required"})


def test_initial_events_make_the_session_running_and_are_listed(
    alice: Caller, agent: str, environment: str, quiet_broker: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    body = {"agent": agent, "environment_id": environment, "initial_events": [HELLO]}
    with django_capture_on_commit_callbacks(execute=True):
        made = alice.post("/sessions", body)
    assert made["status"] == "running"
    events = alice.get(f"/sessions/{made['id']}/events")["data"]
    assert [event["type"] for event in events] == [
        "user.message",
        "session.status_running",
        "session.thread_status_running",
    ]
    assert any(task.startswith("run_thread") for task in quiet_broker)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"agent": 5}, "agent"),
        ({"agent": {"type": "agent", "id": "x", "bogus": 1}}, "agent.bogus"),
        ({"agent": {"type": "robot", "id": "x"}}, "agent"),
        ({"title": 5}, "title"),
        ({"bogus": 5}, "bogus"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k"),
        ({"vault_ids": [5]}, "vault_ids.0"),
        ({"vault_ids": ["vlt_1"] * 2}, "vault_ids"),
        ({"title": "t" * 501}, "title"),
        ({"budget": {"type": "limit", "max_list_cost": {"amount": "5.00", "currency": "USD"}}}, "budget.max_list_cost"),
        ({"budget": {"type": "limit", "max_list_cost": {"amount": "5", "currency": "EUR"}}}, "budget.max_list_cost"),
        ({"budget": {"type": "limit"}}, "budget.max_list_cost"),
        ({"resources": [{"type": "github_repository", "url": "https://example.com/a/b"}]}, "resources.0"),
        ({"initial_events": [{"type": "user.interrupt"}]}, "initial_events.0"),
        ({"initial_events": [{"type": "user.message", "content": []}]}, "initial_events.0.content"),
        ({"initial_events": [HELLO, {"type": "user.message", "content": [{"type": "redacted"}]}]}, "initial_events.1"),
        ({"initial_events": [HELLO] * 51}, "initial_events"),
        ({"initial_events": [{"type": "user.define_outcome", "description": "d"}]}, "initial_events.0.rubric"),
        (
            {
                "initial_events": [
                    {"type": "user.message", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}
                ]
            },
            "initial_events.0.content.0.source.file_id",
        ),
    ],
)
def test_bad_input_creates_no_session(
    alice: Caller, agent: str, environment: str, change: dict[str, Any], named: str
) -> None:
    refused = alice.refused("POST", "/sessions", {"agent": agent, "environment_id": environment, **change})
    assert refused.status == 400
    assert refused.message.startswith(named), refused.message
    assert not Session.objects.exists()


def test_unknown_archived_or_foreign_parts_make_no_session(
    alice: Caller, charlie: Caller, agent: str, environment: str
) -> None:
    theirs = charlie.post("/agents", {"name": "A", "model": "m"})["id"]
    places = charlie.post("/environments", {"name": "E"})["id"]
    for named, place in ((theirs, environment), ("agent_none", environment), (agent, places), (agent, "env_none")):
        assert alice.refused("POST", "/sessions", {"agent": named, "environment_id": place}).status == 404
    wanted = {"type": "agent", "id": agent, "version": 9}
    assert alice.refused("POST", "/sessions", {"agent": wanted, "environment_id": environment}).status == 404
    alice.post(f"/environments/{environment}/archive")
    refused = alice.refused("POST", "/sessions", {"agent": agent, "environment_id": environment})
    assert (refused.status, refused.details) == (400, {"error_code": "environment_archived"})
    alice.post(f"/agents/{agent}/archive")
    assert alice.refused("POST", "/sessions", {"agent": agent, "environment_id": environment}).status == 400
    assert not Session.objects.exists()


def test_an_update_logs_only_what_changed(alice: Caller, session: dict[str, Any]) -> None:
    path = f"/sessions/{session['id']}"
    updated = alice.post(path, {"title": "New", "metadata": {"k": "v"}, "agent": {"tools": [CUSTOM]}})
    fits(SESSION, updated)
    assert (updated["title"], updated["metadata"]) == ("New", {"k": "v"})
    assert updated["agent"]["tools"][0]["name"] == "look_up"
    (event,) = alice.get(f"{path}/events")["data"]
    assert event["type"] == "session.updated"
    assert (event["title"], event["metadata"], event["agent"]) == ("New", {"k": "v"}, updated["agent"])
    assert Thread.objects.get(session_id=session["id"]).agent["tools"] == updated["agent"]["tools"]
    alice.post(path, {"metadata": {"k": None}})
    cleared = alice.get(f"{path}/events")["data"][-1]
    assert set(cleared) == {"id", "type", "processed_at"}


@pytest.mark.parametrize("change", [{}, {"title": None}, {"metadata": {"absent": None}}, {"budget": None}])
def test_an_update_that_changes_nothing_logs_nothing(
    alice: Caller, session: dict[str, Any], change: dict[str, Any]
) -> None:
    after = alice.post(f"/sessions/{session['id']}", change)
    assert after["updated_at"] == session["updated_at"]
    assert alice.get(f"/sessions/{session['id']}/events")["data"] == []


@pytest.mark.parametrize(
    ("change", "named", "code"),
    [
        ({"vault_ids": []}, "vault_ids", None),
        (
            {"budget": {"type": "limit", "max_list_cost": {"amount": "5", "currency": "USD"}}},
            "budget",
            "budget_create_only",
        ),
        ({"agent": {"system": "x"}}, "agent.system", None),
        ({"agent": {"tools": [{"type": "hammer"}]}}, "agent.tools.0", None),
        ({"agent": {"mcp_servers": [{"type": "url", "name": "n", "url": "u"}]}}, "agent.mcp_servers.0.url", None),
        ({"model": "m"}, "model", None),
    ],
)
def test_what_cannot_be_updated_is_refused(
    alice: Caller, session: dict[str, Any], change: dict[str, Any], named: str, code: str | None
) -> None:
    refused = alice.refused("POST", f"/sessions/{session['id']}", change)
    assert refused.status == 400
    assert refused.message.startswith(named)
    assert refused.details.get("error_code") == code
    assert alice.get(f"/sessions/{session['id']}/events")["data"] == []


def cap(cents: str) -> dict[str, Any]:
    return {"type": "limit", "max_list_cost": {"amount": cents, "currency": "USD"}}


def test_a_budget_is_given_at_create_raised_and_removed_for_good(
    alice: Caller, agent: str, environment: str, quiet_broker: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    made = alice.post("/sessions", {"agent": agent, "environment_id": environment, "budget": cap("200")})
    fits(SESSION, made)
    path = f"/sessions/{made['id']}"
    assert made["budget"] == cap("200")
    run(made["id"])
    put_status(made["id"], "session.thread_status_idle", stop_reason={"type": "budget_reached"}, stop_details=None)
    Session.objects.filter(pk=made["id"]).update(cost="2.00")
    refused = alice.refused("POST", path, {"budget": cap("200")})
    assert (refused.status, refused.details) == (400, {"error_code": "budget_not_raised"})
    assert alice.refused("POST", f"{path}/events", {"events": [HELLO]}).status == 400
    with django_capture_on_commit_callbacks(execute=True):
        raised = alice.post(path, {"budget": cap("201")})
    assert (raised["budget"], raised["status"]) == (cap("201"), "running"), "paused work goes on by itself"
    assert any(task.startswith("run_thread") for task in quiet_broker)
    assert alice.post(path, {"budget": None})["budget"] is None
    updates = alice.get(f"{path}/events?types[]=session.updated")["data"]
    assert [event["budget"] for event in updates] == [cap("201"), None]
    refused = alice.refused("POST", path, {"budget": cap("900")})
    assert refused.details == {"error_code": "budget_create_only"}


def test_a_model_without_a_price_takes_no_budget(alice: Caller, environment: str) -> None:
    agent = alice.post("/agents", {"name": "n", "model": "somebody-elses"})["id"]
    body = {"agent": agent, "environment_id": environment, "budget": cap("5")}
    assert alice.refused("POST", "/sessions", body).details == {"error_code": "model_not_budgetable"}


def test_a_running_session_keeps_its_tools_and_cannot_be_archived_or_deleted(
    alice: Caller, session: dict[str, Any]
) -> None:
    run(session["id"])
    path = f"/sessions/{session['id']}"
    assert alice.get(path)["status"] == "running"
    for method, target, body in (
        ("POST", path, {"agent": {"tools": []}}),
        ("POST", f"{path}/archive", None),
        ("DELETE", path, None),
    ):
        assert alice.refused(method, target, body).status == 400
    assert alice.post(path, {"title": "Fine"})["title"] == "Fine"


def test_archiving_terminates_and_closes_the_session(
    alice: Caller, session: dict[str, Any], quiet_broker: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    path = f"/sessions/{session['id']}"
    with django_capture_on_commit_callbacks(execute=True):
        archived = alice.post(f"{path}/archive")
    fits(SESSION, archived)
    assert archived["status"] == "terminated"
    assert archived["archived_at"] is not None
    types = [event["type"] for event in alice.get(f"{path}/events")["data"]]
    assert types == ["session.thread_status_terminated", "session.status_terminated"]
    assert quiet_broker == [f"discard_sandbox {session['id']}"]
    again = alice.post(f"{path}/archive")
    assert again["archived_at"] == archived["archived_at"]
    assert alice.refused("POST", path, {"title": "x"}).status == 400
    assert alice.refused("POST", f"{path}/events", {"events": [HELLO]}).status in (400, 409)
    assert alice.get("/sessions")["data"] == []
    assert [one["id"] for one in alice.get("/sessions?include_archived=true")["data"]] == [session["id"]]
    assert alice.get(path)["stats"]["duration_seconds"] == again["stats"]["duration_seconds"]


def test_deleting_removes_the_log_and_tells_streams_and_sandbox(
    alice: Caller,
    session: dict[str, Any],
    quiet_broker: list[str],
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(nudges, "publish_deleted", told.append)
    alice.post(f"/sessions/{session['id']}", {"title": "x"})
    with django_capture_on_commit_callbacks(execute=True):
        answer = alice.ok("DELETE", f"/sessions/{session['id']}")
    assert answer == {"id": session["id"], "type": "session_deleted"}
    assert told == [session["id"]]
    assert quiet_broker == [f"discard_sandbox {session['id']}"]
    assert not Event.objects.exists()
    assert alice.refused("GET", f"/sessions/{session['id']}").status == 404
    assert alice.refused("DELETE", f"/sessions/{session['id']}").status == 404


def test_the_time_of_a_running_session_goes_on(alice: Caller, session: dict[str, Any]) -> None:
    run(session["id"])
    Session.objects.filter(pk=session["id"]).update(running_since="2026-01-01T00:00:00Z", active_seconds=5)
    Thread.objects.filter(session_id=session["id"]).update(running_since="2026-01-01T00:00:00Z")
    shown = alice.get(f"/sessions/{session['id']}")
    assert shown["usage"]["active_seconds"] > 1000
    assert shown["stats"]["active_seconds"] > 1000


def test_the_primary_thread_is_listed_and_cannot_be_archived_alone(alice: Caller, session: dict[str, Any]) -> None:
    path = f"/sessions/{session['id']}/threads"
    (thread,) = alice.get(path)["data"]
    fits(THREAD, thread)
    assert (thread["parent_thread_id"], thread["stats"], thread["usage"]) == (None, None, None)
    assert "multiagent" not in thread["agent"]
    assert alice.get(f"{path}/{thread['id']}") == thread
    assert alice.refused("POST", f"{path}/{thread['id']}/archive").status == 400
    run(session["id"])
    put_status(session["id"], "session.thread_status_idle", stop_reason={"type": "end_turn"}, stop_details=None)
    rested = alice.get(f"{path}/{thread['id']}")
    fits(THREAD, rested)
    assert rested["stats"]["startup_seconds"] >= 0
    assert rested["usage"]["input_tokens"] == 0
    assert alice.get(f"{path}?statuses[]=running")["data"] == []
    assert len(alice.get(f"{path}/{thread['id']}/events")["data"]) == 5
