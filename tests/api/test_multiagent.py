"""Which agents an agent may call on: both forms, pins, merging; what a session carries (spec core 6, advanced 7)."""

from __future__ import annotations

from typing import Any

import pytest

from sessions import notyet
from tests.api.conftest import Caller, fits

AGENT = "beta_managed_agents_agent.BetaManagedAgentsAgent"
SESSION = "beta_managed_agents_session.BetaManagedAgentsSession"
ENABLED = {"type": "enabled", "inline_agents": {"type": "enabled"}, "predefined_agents": []}
DISABLED = {"type": "disabled"}
NEW = "multiagent_20261001"


@pytest.fixture
def members(alice: Caller) -> list[str]:
    return [create(alice, name=name)["id"] for name in ("Reader", "Writer")]


def create(alice: Caller, **fields: Any) -> dict[str, Any]:
    made = alice.post("/agents", {"name": "Lead", "model": "m", **fields})
    fits(AGENT, made)
    return made


def pin(agent_id: str, version: int = 1) -> dict[str, Any]:
    return {"type": "agent", "id": agent_id, "version": version}


def roster(*entries: Any) -> dict[str, Any]:
    return {"type": "coordinator", "agents": list(entries)}


def test_a_coordinator_pins_its_members_and_names_its_advisor_last(alice: Caller, members: list[str]) -> None:
    alice.post(f"/agents/{members[1]}", {"name": "Author"})
    adviser = {"type": "advisor", "model": "claude-opus-5-5"}
    entries = [adviser, members[0], {"type": "agent", "id": members[1]}, {"type": "self"}]
    made = create(alice, multiagent=roster(*entries))
    assert made["multiagent"] == roster(pin(members[0]), pin(members[1], 2), pin(made["id"]), adviser)
    alice.post(f"/agents/{members[0]}", {"name": "Later"})
    renamed = alice.post(f"/agents/{made['id']}", {"name": "Chief"})
    assert renamed["multiagent"]["agents"] == [pin(members[0]), pin(members[1], 2), pin(made["id"], 2), adviser]
    again = alice.post(f"/agents/{made['id']}", {"multiagent": renamed["multiagent"]})
    assert again == renamed
    assert alice.get(f"/agents/{made['id']}?version=1")["multiagent"] == made["multiagent"]
    assert alice.post(f"/agents/{made['id']}", {"multiagent": None})["multiagent"] is None


def test_rosters_that_break_a_rule_are_refused(alice: Caller, charlie: Caller, members: list[str]) -> None:
    lead = create(alice, multiagent=roster(members[0]))
    gone = create(alice, name="Gone")["id"]
    alice.post(f"/agents/{gone}/archive")
    abroad = create(alice, name="Abroad", model={"id": "m", "inference_geo": "us"})["id"]
    named = create(alice, name="anthropic.advisor")["id"]
    adviser = {"type": "advisor", "model": "m"}
    weak = {"type": "advisor", "model": "claude-haiku-5-5"}

    def refused(*entries: Any, **fields: Any) -> tuple[int, str]:
        body = {"name": "Lead", "model": "m", "multiagent": roster(*entries), **fields}
        found = alice.refused("POST", "/agents", body)
        return found.status, found.message

    assert refused()[1].startswith("multiagent.agents: must name 1 to 20")
    assert refused(*(f"agent_{n}" for n in range(21)))[1].startswith("multiagent.agents: must name 1 to 20")
    assert refused(members[0], pin(members[0]))[1].startswith("multiagent.agents: names an agent more than once")
    assert refused({"type": "self"}, {"type": "self"})[1].startswith("multiagent.agents: names an agent more")
    assert refused(adviser, adviser)[1].startswith("multiagent.agents: has more than one advisor")
    assert refused({"type": "advisor", "model": ""})[1].startswith("multiagent.agents.advisor.model")
    assert refused(lead["id"])[1].startswith("multiagent: agent " + lead["id"] + " has a multiagent of its own")
    assert refused(gone)[1].startswith("multiagent: agent " + gone + " is archived")
    assert refused(abroad)[1].startswith("multiagent: the inference_geo of agent " + abroad)
    assert refused(named, adviser)[1].startswith("multiagent: the name anthropic.advisor")
    assert refused(weak, model="claude-opus-5-5")[1].startswith("multiagent: the advisor claude-haiku-5-5")
    assert refused("agent_none")[0] == 404
    assert refused(pin(members[0], 9))[0] == 404
    assert refused(pin(members[0], 0))[1].startswith("multiagent.agents.0.version")
    assert refused(create(charlie, name="Theirs")["id"])[0] == 404
    moved = alice.refused("POST", f"/agents/{lead['id']}", {"model": {"id": "m", "inference_geo": "us"}})
    assert moved.message.startswith("multiagent: the inference_geo")


def test_the_newer_form_has_every_member_and_its_defaults(alice: Caller, members: list[str]) -> None:
    made = create(alice, multiagent={"type": NEW})
    assert made["multiagent"] == {"type": NEW, "subagents": ENABLED, "workflows": ENABLED, "advisor": DISABLED}
    sent: dict[str, Any] = {
        "type": NEW,
        "subagents": {
            "type": "enabled",
            "inline_agents": DISABLED,
            "predefined_agents": [members[0], {"type": "self"}],
        },
        "workflows": {"type": "disabled"},
        "advisor": {"type": "enabled", "model": "x"},
    }
    full = create(alice, multiagent=sent)
    listed = [pin(members[0]), pin(full["id"])]
    assert full["multiagent"] == {**sent, "subagents": {**sent["subagents"], "predefined_agents": listed}}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {}),
        ({"workflows": None}, {"workflows": ENABLED}),
        ({"advisor": None}, {"advisor": DISABLED}),
        ({"advisor": {"type": "enabled", "model": "y"}}, {"advisor": {"type": "enabled", "model": "y"}}),
        ({"subagents": DISABLED}, {"subagents": DISABLED}),
        ({"subagents": {"type": "enabled", "inline_agents": None}}, {"inline_agents": {"type": "enabled"}}),
        ({"subagents": {"type": "enabled", "predefined_agents": ["WRITER"]}}, {"predefined_agents": [1]}),
        ({"workflows": {"type": "enabled"}}, {"workflows": ENABLED}),
    ],
)
def test_an_update_is_merged_level_by_level(
    alice: Caller, members: list[str], change: dict[str, Any], expected: dict[str, Any]
) -> None:
    start = {
        "type": NEW,
        "subagents": {"type": "enabled", "inline_agents": DISABLED, "predefined_agents": [members[0]]},
        "workflows": DISABLED,
        "advisor": {"type": "enabled", "model": "x"},
    }
    made = create(alice, multiagent=start)
    if "WRITER" in str(change):
        change = {"subagents": {"type": "enabled", "predefined_agents": [members[1]]}}
        expected = {"predefined_agents": [pin(members[1])]}
    updated = alice.post(f"/agents/{made['id']}", {"multiagent": {"type": NEW, **change}})
    fits(AGENT, updated)
    within = {key: value for key, value in expected.items() if key in ("inline_agents", "predefined_agents")}
    whole = {key: value for key, value in expected.items() if key not in within}
    merged = {**made["multiagent"], "subagents": {**made["multiagent"]["subagents"], **within}, **whole}
    assert updated["multiagent"] == merged
    assert updated["version"] == (2 if expected else 1)


def test_an_object_of_another_type_replaces_the_stored_one(alice: Caller, members: list[str]) -> None:
    made = create(alice, multiagent=roster(*members))
    updated = alice.post(f"/agents/{made['id']}", {"multiagent": {"type": NEW, "workflows": DISABLED}})
    assert updated["multiagent"] == {"type": NEW, "subagents": ENABLED, "workflows": DISABLED, "advisor": DISABLED}


def test_what_the_merge_makes_is_checked(alice: Caller, members: list[str]) -> None:
    sent = {"type": NEW, "subagents": {"type": "enabled", "inline_agents": DISABLED}}
    refused = alice.refused("POST", "/agents", {"name": "L", "model": "m", "multiagent": sent})
    assert refused.message.startswith("multiagent.subagents: with inline_agents disabled")
    many = {"type": NEW, "workflows": {"type": "enabled", "predefined_agents": [f"agent_{n}" for n in range(21)]}}
    refused = alice.refused("POST", "/agents", {"name": "L", "model": "m", "multiagent": many})
    assert refused.message.startswith("multiagent.workflows.predefined_agents: at most 20")
    both = {"type": "enabled", "predefined_agents": [members[0]]}
    made = create(alice, multiagent={"type": NEW, "subagents": both, "workflows": both})
    assert made["multiagent"]["workflows"]["predefined_agents"] == [pin(members[0])]


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions as they are once every engine is there."""
    monkeypatch.setattr(notyet, "ENTRIES", ())


def test_a_session_carries_the_whole_definition_of_everyone(
    alice: Caller, members: list[str], environment: str, able: None
) -> None:
    adviser = {"type": "advisor", "model": "x"}
    made = create(alice, multiagent=roster(members[0], {"type": "self"}, adviser))
    reference = {"type": "agent_with_overrides", "id": made["id"], "system": "Be brief."}
    session = alice.post("/sessions", {"agent": reference, "environment_id": environment})
    fits(SESSION, session)
    reader, own, last = session["agent"]["multiagent"]["agents"]
    assert (reader["id"], reader["version"], reader["name"], reader["system"]) == (members[0], 1, "Reader", None)
    assert (own["id"], own["system"]) == (made["id"], "Be brief.")
    assert "multiagent" not in own
    assert last == adviser
    change = {"agent": {"tools": [{"type": "agent_toolset_20260401"}]}}
    updated = alice.post(f"/sessions/{session['id']}", change)["agent"]
    assert len(updated["tools"]) == 1
    assert [len(entry["tools"]) for entry in updated["multiagent"]["agents"][:2]] == [0, 1]


def test_a_session_of_an_agent_that_lists_an_archived_one_is_refused(
    alice: Caller, members: list[str], environment: str
) -> None:
    made = create(alice, multiagent={"type": NEW, "subagents": {"type": "enabled", "predefined_agents": members}})
    alice.post(f"/agents/{members[1]}/archive")
    refused = alice.refused("POST", "/sessions", {"agent": made["id"], "environment_id": environment})
    assert (refused.status, refused.message.partition(":")[0]) == (400, "agent.multiagent")
    kept = alice.post(f"/agents/{made['id']}", {"name": "Renamed"})
    assert kept["multiagent"] == made["multiagent"], "its pins stay until the roster itself is sent"
    anew = {"type": NEW, "subagents": {"type": "enabled", "predefined_agents": members[1:]}}
    assert alice.refused("POST", f"/agents/{made['id']}", {"multiagent": anew}).message.endswith("take it off the list")


def test_a_budget_needs_a_price_for_everyone(alice: Caller, members: list[str], environment: str, able: None) -> None:
    budget = {"type": "limit", "max_list_cost": {"amount": "100", "currency": "USD"}}
    made = create(alice, model="demo", multiagent=roster(members[0]))
    body = {"agent": made["id"], "environment_id": environment, "budget": budget}
    assert alice.refused("POST", "/sessions", body).details == {"error_code": "model_not_budgetable"}
    advised = create(alice, model="demo", multiagent={"type": NEW, "advisor": {"type": "enabled", "model": "x"}})
    refused = alice.refused("POST", "/sessions", {**body, "agent": advised["id"]})
    assert refused.details == {"error_code": "model_not_budgetable"}
