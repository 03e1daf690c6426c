"""``/v1/agents``: create, read, the update rules of spec core 4.4, archive, list, versions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Caller, fits

AGENT = "beta_managed_agents_agent.BetaManagedAgentsAgent"
TOOLSET = {"type": "agent_toolset_20260401"}
ALLOW = {"type": "always_allow"}
ASK = {"type": "always_ask"}
CUSTOM = {"type": "custom", "name": "look_up", "description": "d", "input_schema": {"type": "object"}}


@pytest.fixture
def full(alice: Caller) -> dict[str, Any]:
    body = {
        "name": "Coder",
        "model": {"id": "m-1", "effort": "low", "speed": "fast", "inference_geo": "us"},
        "description": "writes code",
        "system": "Be brief.",
        "tools": [TOOLSET],
        "metadata": {"team": "a", "tier": "1"},
    }
    return alice.post("/agents", body)


def test_a_new_agent_has_every_field_resolved(alice: Caller) -> None:
    agent = alice.post("/agents", {"name": "Coder", "model": "claude-opus-5-5", "tools": [TOOLSET]})
    fits(AGENT, agent)
    assert agent["id"].startswith("agent_")
    assert (agent["type"], agent["version"], agent["name"]) == ("agent", 1, "Coder")
    assert agent["model"] == {
        "id": "claude-opus-5-5",
        "effort": {"type": "high"},
        "speed": "standard",
        "inference_geo": None,
    }
    default = {"enabled": True, "permission_policy": ALLOW}
    assert agent["tools"] == [{**TOOLSET, "default_config": default, "configs": []}]
    assert agent["execution_identity"] == {"type": "service_account"}
    assert agent["metadata"] == {}
    for field in ("description", "system", "multiagent", "archived_at"):
        assert agent[field] is None
    for field in ("mcp_servers", "skills"):
        assert agent[field] == []


def test_tool_settings_fall_back_to_the_toolsets_default(alice: Caller) -> None:
    tools = [
        {
            **TOOLSET,
            "default_config": {"enabled": False, "permission_policy": ASK},
            "configs": [{"name": "bash", "enabled": True}, {"name": "read", "permission_policy": ALLOW}],
        },
        {**CUSTOM, "input_schema": {"type": "object", "properties": {"q": {}}, "additionalProperties": False}},
    ]
    agent = alice.post("/agents", {"name": "Coder", "model": "m", "tools": tools})
    fits(AGENT, agent)
    assert agent["tools"][0]["configs"] == [
        {"type": "bash", "name": "bash", "enabled": True, "permission_policy": ASK},
        {"type": "read", "name": "read", "enabled": False, "permission_policy": ALLOW},
    ]
    assert agent["tools"][1]["input_schema"]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 257}, "name"),
        ({"model": 7}, "model"),
        ({"model": {"id": "m", "effort": "huge"}}, "model.effort"),
        ({"model": {"id": "m", "inference_geo": "mars"}}, "model.inference_geo"),
        ({"model": {"id": "claude-haiku-4-5", "speed": "fast"}}, "model.speed"),
        ({"model": {"id": "claude-haiku-4-5", "inference_geo": "us"}}, "model.inference_geo"),
        ({"model": {"id": "m", "temperature": 1}}, "model.temperature"),
        ({"model": ""}, "model"),
        ({"system": "x" * 100_001}, "system"),
        ({"description": "x" * 2_049}, "description"),
        ({"bogus": 1}, "bogus"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "hammer"}]}, "tools.0"),
        ({"tools": [{**TOOLSET, "configs": [{"name": "hammer"}]}]}, "tools.0.configs.0"),
        ({"tools": [{**TOOLSET, "configs": [{"name": "bash", "enabled": "yes"}]}]}, "tools.0.configs.0.enabled"),
        ({"tools": [{**TOOLSET, "configs": [{"name": "bash"}, {"name": "bash"}]}]}, "tools.0.configs"),
        ({"tools": [TOOLSET, TOOLSET]}, "tools"),
        ({"tools": [CUSTOM, CUSTOM]}, "tools"),
        ({"tools": [TOOLSET, {**CUSTOM, "name": "bash"}]}, "tools"),
        ({"tools": [{**CUSTOM, "name": "two words"}]}, "tools.0.name"),
        ({"tools": [{**CUSTOM, "input_schema": {"type": "array"}}]}, "tools.0.input_schema.type"),
        ({"tools": [{**CUSTOM, "name": f"t{n}"} for n in range(257)]}, "tools"),
        ({"metadata": {"k": 1}}, "metadata.k"),
        ({"metadata": {str(n): "v" for n in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k"),
        ({"tools": [{**CUSTOM, "name": "ant__mine"}]}, "tools.0.name"),
        ({"tools": [{**CUSTOM, "description": ""}]}, "tools.0.description"),
        ({"tools": [{**CUSTOM, "description": "d" * 10_001}]}, "tools.0.description"),
        ({"execution_identity": {"type": "aws_role", "role_arn": "nobody"}}, "execution_identity.role_arn"),
        (
            {"execution_identity": {"type": "aws_role", "role_arn": "arn:" + "x" * 2_045}},
            "execution_identity.role_arn",
        ),
    ],
)
def test_bad_input_is_refused_by_name_and_nothing_is_written(alice: Caller, change: dict[str, Any], named: str) -> None:
    refused = alice.refused("POST", "/agents", {"name": "Coder", "model": "m", **change})
    assert (refused.status, refused.type) == (400, "invalid_request_error")
    assert refused.message.startswith(named)
    assert alice.get("/agents")["data"] == []


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ({"name": "Other"}, "name", "Other"),
        ({"description": None}, "description", None),
        ({"description": ""}, "description", None),
        ({"system": ""}, "system", None),
        ({"system": "New."}, "system", "New."),
        ({"tools": None}, "tools", []),
        ({"tools": []}, "tools", []),
        ({"metadata": {"team": None, "new": "x"}}, "metadata", {"tier": "1", "new": "x"}),
        (
            {"model": {"id": "m-1"}},
            "model",
            {"id": "m-1", "effort": {"type": "low"}, "speed": "standard", "inference_geo": None},
        ),
        (
            {"model": "m-2"},
            "model",
            {"id": "m-2", "effort": {"type": "high"}, "speed": "standard", "inference_geo": None},
        ),
        (
            {"model": {"id": "m-1", "effort": {"type": "max"}, "inference_geo": "us"}},
            "model",
            {"id": "m-1", "effort": {"type": "max"}, "speed": "standard", "inference_geo": "us"},
        ),
    ],
)
def test_an_update_makes_a_new_version_and_keeps_what_was_not_sent(
    alice: Caller, full: dict[str, Any], change: dict[str, Any], field: str, expected: Any
) -> None:
    updated = alice.post(f"/agents/{full['id']}", change)
    fits(AGENT, updated)
    assert updated["version"] == 2
    assert updated[field] == expected
    kept = {name for name in full if name not in (field, "version", "updated_at")}
    assert {name: updated[name] for name in kept} == {name: full[name] for name in kept}
    assert alice.get(f"/agents/{full['id']}?version=1") == full
    assert alice.get(f"/agents/{full['id']}") == updated


@pytest.mark.parametrize(
    "change",
    [{}, {"name": "Coder"}, {"metadata": {"absent": None}}, {"version": 1, "system": "Be brief."}, {"mcp_servers": []}],
)
def test_an_update_that_changes_nothing_makes_no_version(
    alice: Caller, full: dict[str, Any], change: dict[str, Any]
) -> None:
    assert alice.post(f"/agents/{full['id']}", change) == full
    assert len(alice.get(f"/agents/{full['id']}/versions")["data"]) == 1


def test_a_version_mismatch_is_a_conflict_even_if_nothing_differs(alice: Caller, full: dict[str, Any]) -> None:
    alice.post(f"/agents/{full['id']}", {"name": "Other"})
    response = alice.send("POST", f"/agents/{full['id']}", {"version": 1, "name": "Other"})
    assert response.status_code == 409
    assert response.json()["error"]["type"] == "conflict_error"
    assert response["x-should-retry"] == "false"


@pytest.mark.parametrize("change", [{"name": None}, {"name": " "}, {"model": None}, {"version": 0}, {"id": "agent_1"}])
def test_what_cannot_be_cleared_or_changed_is_refused(
    alice: Caller, full: dict[str, Any], change: dict[str, Any]
) -> None:
    refused = alice.refused("POST", f"/agents/{full['id']}", change)
    assert refused.status == 400
    assert refused.message.startswith(next(iter(change)))
    assert alice.get(f"/agents/{full['id']}") == full


def test_archiving_is_final_idempotent_and_hides_the_agent_from_lists(alice: Caller, full: dict[str, Any]) -> None:
    archived = alice.post(f"/agents/{full['id']}/archive")
    assert archived["archived_at"] is not None
    assert alice.post(f"/agents/{full['id']}/archive") == archived
    assert alice.get(f"/agents/{full['id']}") == archived
    assert alice.get("/agents")["data"] == []
    assert alice.get("/agents?include_archived=true")["data"] == [archived]
    assert alice.refused("POST", f"/agents/{full['id']}", {"name": "x"}).status == 400


def test_an_unknown_version_is_not_found(alice: Caller, full: dict[str, Any]) -> None:
    assert alice.refused("GET", f"/agents/{full['id']}?version=2").status == 404
    assert alice.refused("GET", f"/agents/{full['id']}?version=0").message.startswith("version")


def test_lists_page_through_everything_newest_first(alice: Caller) -> None:
    made = [alice.post("/agents", {"name": f"A{n}", "model": "m"})["id"] for n in range(5)]
    seen, page = [], ""
    while True:
        answer = alice.get(f"/agents?limit=2{page}")
        assert set(answer) == {"data", "next_page"}
        seen += [agent["id"] for agent in answer["data"]]
        if answer["next_page"] is None:
            break
        page = f"&page={answer['next_page']}"
    assert seen == made[::-1]


@pytest.mark.parametrize("version", [0, -1, 2**31, 10**20])
def test_a_number_that_no_version_can_have_is_refused_with_the_numbers_that_one_can(
    alice: Caller, environment: str, full: dict[str, Any], version: int
) -> None:
    pinned = {"type": "agent", "id": full["id"], "version": version}
    for path, body, where in (
        ("/sessions", {"agent": pinned, "environment_id": environment}, "agent.version"),
        (
            "/agents",
            {"name": "L", "model": "demo", "multiagent": {"type": "coordinator", "agents": [pinned]}},
            "multiagent.agents.0.version",
        ),
        (f"/agents/{full['id']}", {"version": version, "name": "Other"}, "version"),
    ):
        refused = alice.refused("POST", path, body)
        assert (refused.status, refused.message) == (400, f"{where}: must be from 1 to 2147483647")


def test_versions_page_newest_first(alice: Caller, full: dict[str, Any]) -> None:
    for n in range(4):
        alice.post(f"/agents/{full['id']}", {"name": f"N{n}"})
    first = alice.get(f"/agents/{full['id']}/versions?limit=3")
    rest = alice.get(f"/agents/{full['id']}/versions?limit=3&page={first['next_page']}")
    assert [agent["version"] for agent in first["data"] + rest["data"]] == [5, 4, 3, 2, 1]
    assert rest["next_page"] is None
    for agent in first["data"]:
        fits(AGENT, agent)
