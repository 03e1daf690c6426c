"""What sessions are given besides an agent, and what can't run yet (spec core 8, 9)."""

from __future__ import annotations

from typing import Any

import pytest

from sessions import notyet, resources
from sessions.models import Resource
from tests.api.conftest import Caller, fits
from tests.api.test_skills import make as make_skill

SESSION = "beta_managed_agents_session.BetaManagedAgentsSession"
RESOURCE = "sessions.beta_managed_agents_session_resource.BetaManagedAgentsSessionResource"
TOOLSET = {"type": "agent_toolset_20260401"}
SERVER = {"type": "url", "name": "docs", "url": "https://mcp.example.com/docs"}
MCP = {"type": "mcp_toolset", "mcp_server_name": "docs"}
REPOSITORY = {"type": "github_repository", "url": "https://github.com/octo/Hello.World"}
OUTCOME = {"type": "user.define_outcome", "description": "A poem", "rubric": {"type": "text", "content": "It rhymes."}}


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions as they are once every engine is there."""
    monkeypatch.setattr(notyet, "ENTRIES", ())
    monkeypatch.setattr("sessions.harness.hands.skills.BUILT_IN_REFUSED", frozenset())


@pytest.fixture
def store(alice: Caller) -> str:
    made: str = alice.post("/memory_stores", {"name": "Demo Memory", "description": "Facts"})["id"]
    return made


def body(agent: str, environment: str, **fields: Any) -> dict[str, Any]:
    return {"agent": agent, "environment_id": environment, **fields}


def test_vaults_are_kept_in_order(alice: Caller, agent: str, environment: str, vault: str, able: None) -> None:
    other = alice.post("/vaults", {"display_name": "Bob"})["id"]
    made = alice.post("/sessions", body(agent, environment, vault_ids=[other, vault]))
    assert made["vault_ids"] == [other, vault]
    fits(SESSION, made)


def test_vaults_that_cannot_be_used_are_refused(
    alice: Caller, charlie: Caller, agent: str, environment: str, vault: str
) -> None:
    def status(vault_ids: list[str]) -> int:
        return alice.refused("POST", "/sessions", body(agent, environment, vault_ids=vault_ids)).status

    assert status(["vlt_none"]) == 404
    assert status([charlie.post("/vaults", {"display_name": "C"})["id"]]) == 404
    assert status([f"vlt_{n}" for n in range(51)]) == 400
    alice.post(f"/vaults/{vault}/archive")
    assert status([vault]) == 400


def test_a_repository_is_kept_without_its_token(
    alice: Caller, agent: str, environment: str, able: None, caplog: pytest.LogCaptureFixture
) -> None:
    checkout = {"type": "branch", "name": "main"}
    wanted = [
        {**REPOSITORY, "authorization_token": "ghp_secret", "checkout": checkout},
        {**REPOSITORY, "url": "https://github.com/octo/other", "mount_path": "/workspace/libs/other"},
    ]
    made = alice.post("/sessions", body(agent, environment, resources=wanted))
    fits(SESSION, made)
    first, second = made["resources"]
    assert first == {
        "id": first["id"],
        "type": "github_repository",
        "url": REPOSITORY["url"],
        "mount_path": "/workspace/Hello.World",
        "checkout": checkout,
        "created_at": first["created_at"],
        "updated_at": first["updated_at"],
    }
    assert (second["mount_path"], second["checkout"]) == ("/workspace/libs/other", None)
    row = Resource.objects.get(pk=first["id"])
    token = resources.token_of(row)
    assert token is not None
    assert token.reveal() == "ghp_secret"
    assert b"ghp_secret" not in bytes(row.sealed)
    assert resources.token_of(Resource.objects.get(pk=second["id"])) is None
    path = f"/sessions/{made['id']}/resources/{second['id']}"
    rotated = alice.post(path, {"authorization_token": "ghp_next"})
    fits(RESOURCE, rotated)
    assert rotated["updated_at"] > second["updated_at"]
    assert alice.get(path) == rotated
    assert resources.token_of(Resource.objects.get(pk=second["id"])).reveal() == "ghp_next"  # type: ignore[union-attr]
    assert alice.refused("DELETE", path).status == 400
    assert alice.refused("POST", path, {"authorization_token": "two words"}).message.startswith("authorization_token")
    assert "ghp_" not in caplog.text


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"url": "https://github.com/octo/hello.git"}, "resources.0.url"),
        ({"url": "git@github.com:octo/hello"}, "resources.0.url"),
        ({"url": "https://gitlab.com/octo/hello"}, "resources.0.url"),
        ({"url": "https://github.com/octo/.."}, "resources.0.url"),
        ({"url": "https://github.com/octo/hello/tree"}, "resources.0.url"),
        ({"mount_path": "/etc"}, "resources.0.mount_path"),
        ({"mount_path": "/workspace"}, "resources.0.mount_path"),
        ({"mount_path": "/workspace/../etc"}, "resources.0.mount_path"),
        ({"mount_path": "/workspace/" + "ä" * 128}, "resources.0.mount_path"),
        ({"mount_path": "/workspace/" + "x" * 4_086}, "resources.0.mount_path"),
        ({"checkout": {"type": "commit", "sha": "abc"}}, "resources.0.checkout.sha"),
        ({"checkout": {"type": "branch", "name": ""}}, "resources.0.checkout.name"),
        ({"checkout": {"type": "branch", "name": "--upload-pack=x"}}, "resources.0.checkout.name"),
        ({"checkout": {"type": "branch", "name": "b" * 256}}, "resources.0.checkout.name"),
        ({"checkout": {"type": "tag", "name": "b"}}, "resources.0.checkout"),
        ({"authorization_token": ""}, "resources.0.authorization_token"),
        ({"authorization_token": "t" * 4_097}, "resources.0.authorization_token"),
    ],
)
def test_repositories_that_break_a_rule_are_refused(
    alice: Caller, agent: str, environment: str, change: dict[str, Any], named: str
) -> None:
    refused = alice.refused("POST", "/sessions", body(agent, environment, resources=[{**REPOSITORY, **change}]))
    assert refused.status == 400
    assert refused.message.startswith(named)
    assert "t" * 100 not in refused.message


def test_two_repositories_may_not_share_a_directory(alice: Caller, agent: str, environment: str) -> None:
    inside = {**REPOSITORY, "mount_path": "/workspace/Hello.World/lib"}
    refused = alice.refused("POST", "/sessions", body(agent, environment, resources=[REPOSITORY, inside]))
    assert refused.message.startswith("resources.1.mount_path")


def test_a_memory_store_is_attached_as_it_is_now(
    alice: Caller, agent: str, environment: str, store: str, able: None
) -> None:
    twin = alice.post("/memory_stores", {"name": "demo/memory!"})["id"]
    wanted = [
        {"type": "memory_store", "memory_store_id": store, "access": "read_only", "instructions": "Read it first."},
        {"type": "memory_store", "memory_store_id": twin},
    ]
    made = alice.post("/sessions", body(agent, environment, resources=wanted))
    fits(SESSION, made)
    alice.post(f"/memory_stores/{store}", {"name": "Renamed"})
    first, second = alice.get(f"/sessions/{made['id']}")["resources"]
    assert first == {
        **wanted[0],
        "name": "Demo Memory",
        "description": "Facts",
        "mount_path": "/mnt/memory/demo-memory",
    }
    assert second == {
        **wanted[1],
        "access": "read_write",
        "instructions": None,
        "name": "demo/memory!",
        "description": "",
        "mount_path": "/mnt/memory/demo-memory-2",
    }
    listed = alice.get(f"/sessions/{made['id']}/resources")["data"]
    assert listed == [first, second]
    for shown in listed:
        fits(RESOURCE, shown)


def test_stores_that_cannot_be_attached_are_refused(
    alice: Caller, charlie: Caller, agent: str, environment: str, store: str
) -> None:
    def refused(*store_ids: str, **fields: Any) -> tuple[int, str]:
        wanted = [{"type": "memory_store", "memory_store_id": one, **fields} for one in store_ids]
        found = alice.refused("POST", "/sessions", body(agent, environment, resources=wanted))
        return found.status, found.message.partition(":")[0]

    assert refused(store, instructions="i" * 4_097) == (400, "resources.0.instructions")
    assert refused(store, store) == (400, "resources")
    assert refused(*(f"memstore_{n}" for n in range(9))) == (400, "resources")
    assert refused("memstore_none")[0] == 404
    assert refused(charlie.post("/memory_stores", {"name": "C"})["id"])[0] == 404
    alice.post(f"/memory_stores/{store}/archive")
    assert refused(store)[0] == 400


def test_sessions_are_found_by_their_memory_store(
    alice: Caller, agent: str, environment: str, store: str, able: None
) -> None:
    other = alice.post("/memory_stores", {"name": "Other"})["id"]
    for stores in ([store], [store, other], []):
        wanted = [{"type": "memory_store", "memory_store_id": one} for one in stores]
        alice.post("/sessions", body(agent, environment, resources=wanted, title=str(len(stores))))

    def titles(store_id: str) -> list[str]:
        return [one["title"] for one in alice.get(f"/sessions?memory_store_id={store_id}")["data"]]

    assert (titles(store), titles(other), titles("memstore_none")) == (["2", "1"], ["2"], [])


def test_a_file_can_be_added_beside_other_resources(
    alice: Caller, agent: str, environment: str, store: str, able: None
) -> None:
    attached = {"type": "memory_store", "memory_store_id": store}
    made = alice.post("/sessions", body(agent, environment, resources=[attached, REPOSITORY]))
    refused = alice.refused("POST", f"/sessions/{made['id']}/resources", attached)
    assert refused.status == 400
    assert "type: must be one of: file" in refused.message


def test_a_self_hosted_environment_takes_memory_stores_only(alice: Caller, agent: str, store: str, able: None) -> None:
    theirs = alice.post("/environments", {"name": "Theirs", "config": {"type": "self_hosted"}})["id"]
    refused = alice.refused("POST", "/sessions", body(agent, theirs, resources=[REPOSITORY]))
    assert refused.message.startswith(f"Environment {theirs} is a self-hosted environment. `resources` are not")
    attached = {"type": "memory_store", "memory_store_id": store}
    assert alice.post("/sessions", body(agent, theirs, resources=[attached]))["status"] == "idle"


@pytest.mark.parametrize(
    ("networking", "allowed"),
    [
        ({"type": "unrestricted"}, True),
        ({"type": "limited"}, False),
        ({"type": "limited", "allow_mcp_servers": True}, True),
        ({"type": "limited", "allowed_hosts": ["MCP.example.com"]}, True),
        ({"type": "limited", "allowed_hosts": ["*.example.com"]}, True),
        ({"type": "limited", "allowed_hosts": ["example.com"]}, False),
    ],
)
def test_limited_networking_must_let_the_agent_reach_its_servers(
    alice: Caller, networking: dict[str, Any], allowed: bool, able: None
) -> None:
    made = alice.post("/agents", {"name": "A", "model": "m", "mcp_servers": [SERVER], "tools": [MCP]})
    config = {"type": "cloud", "networking": networking}
    environment = alice.post("/environments", {"name": "Net", "config": config})["id"]
    response = alice.send("POST", "/sessions", body(made["id"], environment))
    assert response.status_code == (200 if allowed else 400)
    if not allowed:
        assert response.json()["error"]["message"].startswith("environment_id: ")


def test_overrides_are_checked_against_each_other(alice: Caller, environment: str, able: None) -> None:
    made = alice.post("/agents", {"name": "A", "model": "m", "mcp_servers": [SERVER], "tools": [MCP]})
    base = {"type": "agent_with_overrides", "id": made["id"]}
    refused = alice.refused("POST", "/sessions", body({**base, "mcp_servers": None}, environment))  # type: ignore[arg-type]
    assert refused.message.startswith("agent.tools.0.mcp_server_name")
    own = {"type": "custom", "skill_id": make_skill(alice)["id"]}
    both = {**base, "mcp_servers": None, "tools": [TOOLSET], "skills": [own]}
    session = alice.post("/sessions", body(both, environment))  # type: ignore[arg-type]
    shown = session["agent"]
    assert (shown["mcp_servers"], len(shown["tools"]), len(shown["skills"])) == ([], 1, 1)
    path = f"/sessions/{session['id']}"
    assert alice.refused("POST", path, {"agent": {"tools": []}}).message.startswith("agent.skills")
    changed = alice.post(path, {"agent": {"tools": [TOOLSET, MCP], "mcp_servers": [SERVER]}})["agent"]
    assert changed["mcp_servers"] == [SERVER]
    assert changed["tools"][1]["default_config"]["permission_policy"] == {"type": "always_ask"}


def test_what_cannot_run_yet_is_refused_once_all_else_is_right(
    alice: Caller, agent: str, environment: str, vault: str
) -> None:
    """Only what this version says itself, entry by entry; an entry goes when its engine comes."""
    theirs = alice.post("/environments", {"name": "Theirs", "config": {"type": "self_hosted"}})["id"]
    rich = {"type": "cloud", "packages": {"pip": ["a"]}}
    packaged = alice.post("/environments", {"name": "Rich", "config": rich})["id"]
    role = {"type": "aws_role", "role_arn": "arn:aws:iam::1:role/r"}
    wanted: dict[str, dict[str, Any]] = {
        "execution_identity": {"agent": {"execution_identity": role}},
        "self_hosted": {"environment_id": theirs},
        "packages": {"environment_id": packaged},
        "vaults": {"vault_ids": [vault]},
        "repositories": {"resources": [REPOSITORY]},
    }
    for entry in notyet.ENTRIES:
        fields = dict(wanted[entry.__name__])
        if "agent" in fields:
            fields["agent"] = alice.post("/agents", {"name": entry.__name__, "model": "m", **fields["agent"]})["id"]
        refused = alice.refused("POST", "/sessions", {**body(agent, environment), **fields})
        assert refused.status == 400
        assert refused.message.endswith("not supported in sessions of this version of Holdfast")
    assert alice.get("/sessions")["data"] == []


def test_a_tool_that_this_installation_lacks_is_refused_where_it_was_asked_for(
    alice: Caller, agent: str, environment: str, settings: Any
) -> None:
    def start(*configs: dict[str, Any]) -> dict[str, Any]:
        tools = [{**TOOLSET, "configs": list(configs)}]
        made = alice.post("/agents", {"name": "A", "model": "m", "tools": tools})
        return {**body(agent, environment), "agent": made["id"]}

    refused = alice.refused("POST", "/sessions", start({"name": "web_search"}))
    assert (refused.status, refused.message.split(":")[0]) == (400, "agent.tools")
    assert "SEARXNG_URL" in refused.message
    alice.post("/sessions", start())
    alice.post("/sessions", start({"name": "web_fetch"}, {"name": "web_search", "enabled": False}))
    settings.HOLDFAST_SEARXNG_URL = "http://search.example"
    alice.post("/sessions", start({"name": "web_search"}))


def test_anthropics_own_skills_are_refused_by_name(alice: Caller, environment: str) -> None:
    fields = {"name": "A", "model": "m", "tools": [TOOLSET], "skills": [{"type": "anthropic", "skill_id": "pdf"}]}
    made = alice.post("/agents", fields)
    refused = alice.refused("POST", "/sessions", body(made["id"], environment))
    assert (refused.status, refused.message.partition(":")[0]) == (400, "agent.skills")
    assert "pdf is one of Anthropic's own skills" in refused.message


def test_outcomes_are_checked(alice: Caller, session: dict[str, Any]) -> None:
    def refused(*events: dict[str, Any]) -> str:
        return alice.refused("POST", f"/sessions/{session['id']}/events", {"events": list(events)}).message

    for change, named in (
        ({"description": " "}, "events.0.description"),
        ({"max_iterations": 0}, "events.0.max_iterations"),
        ({"max_iterations": 21}, "events.0.max_iterations"),
        ({"rubric": {"type": "text", "content": ""}}, "events.0.rubric.content"),
        ({"rubric": {"type": "text", "content": "r" * 262_145}}, "events.0.rubric.content"),
        ({"rubric": {"type": "file", "file_id": "file_none"}}, "events.0.rubric.file_id"),
        ({"rubric": None}, "events.0.rubric"),
    ):
        assert refused({**OUTCOME, **change}).startswith(named)
    assert refused(OUTCOME, OUTCOME).startswith("events: at most one")
    alice.post(f"/sessions/{session['id']}/events", {"events": [OUTCOME]})
    assert refused(OUTCOME).startswith("events.0: The session works for an outcome already")
    (entry,) = alice.get(f"/sessions/{session['id']}")["outcome_evaluations"]
    assert (entry["result"], entry["iteration"], entry["completed_at"]) == ("running", 0, None)


def test_a_cloud_session_takes_no_tool_results(alice: Caller, session: dict[str, Any]) -> None:
    sent = {"type": "user.tool_result", "tool_use_id": "sevt_1", "content": []}
    refused = alice.refused("POST", f"/sessions/{session['id']}/events", {"events": [sent]})
    assert (refused.status, refused.message.partition(":")[0]) == (400, "events.0.type")


def test_what_one_request_may_hold_is_checked(alice: Caller, session: dict[str, Any]) -> None:
    block = {"type": "text", "text": "x"}
    hello, note = {"type": "user.message", "content": [block]}, {"type": "system.message", "content": [block]}
    confirm = {"type": "user.tool_confirmation", "tool_use_id": "sevt_1", "result": "deny"}
    page = {"type": "document", "source": {"type": "file", "file_id": "file_none"}}

    def refused(*events: dict[str, Any]) -> str:
        return alice.refused("POST", f"/sessions/{session['id']}/events", {"events": list(events)}).message

    for sent, named in (
        ((), "events: Send at least one"),
        ((hello,) * 101, "events: At most 100"),
        ((note, hello), "events.0: system.message must be the last"),
        (({"type": "user.interrupt"}, note), "events.1: system.message must stand alone"),
        (({**note, "content": [block] * 1_001},), "events.0.content: at most 1000"),
        (({**note, "content": []},), "events.0.content"),
        (({**hello, "content": [page] * 101},), "events: at most 100 document"),
        (({**hello, "content": [page]},), "events.0.content.0.source.file_id"),
        (({**hello, "content": [{"type": "redacted"}]},), "events.0.content.0"),
        (({**confirm, "deny_message": "d" * 10_001},), "events.0.deny_message: must be at most"),
        (({**confirm, "result": "allow", "deny_message": "d"},), "events.0.deny_message"),
        ((confirm,), "events.0.tool_use_id"),
        (({**hello, "session_thread_id": "sthr_1"},), "events.0.session_thread_id"),
        (({"type": "agent.message", "content": [block]},), "events.0"),
    ):
        assert refused(*sent).startswith(named)
    assert alice.get(f"/sessions/{session['id']}/events")["data"] == []
