"""The pages of agents: every field in the editor, checks while typing, conflicts, versions, the matrix, the figures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agents import permitted
from agents.actions import create_agent, find_agent, update_agent
from agents.models import AgentVersion
from sessions import figures
from tests.web.dom import parse
from tests.web.forms import filled

if TYPE_CHECKING:
    from django.test import Client

    from tests.web.conftest import World

WHOLE = {
    "name": "Whole",
    "description": "Has everything",
    "model": {"id": "claude-opus-4-6", "effort": "low", "speed": "standard", "inference_geo": "us"},
    "system": "Be brief.\n\nAnd kind.",
    "tools": [
        {"type": "custom", "name": "weather", "description": "Tells it.", "input_schema": {"type": "object"}},
        {
            "type": "agent_toolset_20260401",
            "default_config": {"enabled": False},
            "configs": [
                {"name": "bash", "enabled": True, "permission_policy": {"type": "always_ask"}},
                {"name": "read", "enabled": True},
                {"name": "web_fetch", "enabled": True, "allowed_domains": ["docs.example.com"]},
            ],
        },
        {
            "type": "mcp_toolset",
            "mcp_server_name": "tickets",
            "configs": [{"name": "delete", "enabled": False}],
        },
    ],
    "mcp_servers": [{"type": "url", "name": "tickets", "url": "https://mcp.example.com/mcp"}],
    "multiagent": {"type": "coordinator", "agents": [{"type": "self"}]},
    "metadata": {"team": "billing"},
    "holdfast": {
        "limits": {"steps": 40, "list_cost": {"amount": "250", "currency": "USD"}},
        "fallback_models": ["claude-sonnet-4-6"],
        "permission_rules": [
            {"effect": "deny", "tool": "bash", "command_prefix": "rm"},
            {"effect": "deny", "mcp_server": "tickets", "tool": "close_*"},
        ],
    },
}


@pytest.fixture
def whole(world: World) -> AgentVersion:
    return create_agent(WHOLE, world.acting)


def typed(client: Client, address: str) -> dict[str, Any]:
    """What the editor of a page holds, as a browser would send it."""
    return filled(client.get(address).content.decode())


def test_an_agent_with_everything_survives_the_editor_unchanged(world: World, whole: AgentVersion) -> None:
    address = f"/agents/{whole.agent_id}/edit/"
    sent = typed(world.alice, address)
    assert world.alice.post(address, sent, follow=True).status_code == 200
    assert find_agent(whole.agent_id, world.acting).version == 1
    world.alice.post(address, sent | {"description": "Renamed"})
    saved = find_agent(whole.agent_id, world.acting)
    assert (saved.version, saved.spec) == (2, whole.spec | {"description": "Renamed"})


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ({"metadata-0-key": "owner", "metadata-0-text": "ops"}, "metadata", {"owner": "ops"}),
        ({"roster-kind": ""}, "multiagent", None),
        ({"servers-TOTAL_FORMS": "0", "rules-TOTAL_FORMS": "0"}, "mcp_servers", []),
        ({"speed": "standard", "inference_geo": ""}, "model", {
            "id": "claude-opus-4-6", "effort": {"type": "low"}, "speed": "standard", "inference_geo": None,
        }),
        ({"limit_steps": "", "limit_dollars": "1.05", "rules-TOTAL_FORMS": "0", "fallback_models": ""}, "holdfast", {
            "limits": {"list_cost": {"amount": "105", "currency": "USD"}},
        }),
    ],
)  # fmt: skip
def test_each_field_can_be_changed_and_cleared(
    world: World, whole: AgentVersion, change: dict[str, str], field: str, expected: Any
) -> None:
    address = f"/agents/{whole.agent_id}/edit/"
    assert world.alice.post(address, typed(world.alice, address) | change).status_code == 302
    assert find_agent(whole.agent_id, world.acting).spec[field] == expected


@pytest.mark.parametrize(
    ("change", "field", "complaint"),
    [
        ({"limit_steps": "0"}, "limit_steps", "greater than or equal to 1"),
        ({"fallback_models": "claude-sonnet-4-6\nclaude-opus-4-6"}, "fallback_models", "the agent's own model"),
        ({"fallback_models": "claude-sonnet-4-6\nclaude-sonnet-4-6"}, "fallback_models", "named twice"),
        ({"members-0-agent": "agent_none"}, "members-0-agent", "agent_none"),
        ({"roster-advisor": " ", "members-TOTAL_FORMS": "0"}, "members", "1 to 20"),
        ({"web_fetch-domains": " "}, "web_fetch-domains", "at least one host"),
        ({"web_fetch-domains": "localhost"}, "web_fetch-domains", "public hostname"),
        ({"servers-0-url": "x"}, "servers-0-url", "address"),
        ({"servers-0-name": ""}, "servers-0-name", "required"),
        ({"servers-0-tools-0-name": "x" * 200}, "servers-0-tools-0-name", "128"),
        ({"customs-0-input_schema": "{nope"}, "customs-0-input_schema", "not valid JSON"),
        ({"customs-0-input_schema": '{"type": "object", "maximum": NaN}'}, "customs-0-input_schema", "NaN"),
        ({"customs-0-input_schema": '{"type": "object", "maximum": 1e999}'}, "customs-0-input_schema", "too large"),
        ({"customs-0-input_schema": '{"type": "object", "a": "\\u0000"}'}, "customs-0-input_schema", "null character"),
        ({"customs-0-input_schema": '{"type": "array"}'}, "customs-0-input_schema", "object"),
        ({"customs-0-name": "not one"}, "customs-0-name", "letters"),
        ({"rules-1-effect": ""}, "rules-1-effect", "required"),
        ({"rules-0-host": "no host"}, "rules-0-host", "api.example.com"),
        ({"rules-0-expires_after_seconds": "60"}, "rules-0", "rules that ask"),
        ({"metadata-0-key": ""}, "metadata-0-key", "required"),
        ({"name": ""}, "name", "required"),
    ],
)
def test_a_mistake_is_told_beside_its_field_while_one_types(
    world: World, whole: AgentVersion, change: dict[str, str], field: str, complaint: str
) -> None:
    address = f"/agents/{whole.agent_id}/edit/"
    sent = typed(world.alice, address) | change
    answer = world.alice.post(f"/agents/{whole.agent_id}/check/", sent)
    assert answer.status_code == 200
    told = dict(answer.context["form"].complaints())
    assert list(told) == [f"id_{field}"]
    assert complaint in told[f"id_{field}"]
    assert f'<li data-for="id_{field}">' in answer.content.decode()
    assert find_agent(whole.agent_id, world.acting).version == 1
    kept = world.alice.post(address, sent)
    assert kept.status_code == 422
    assert kept.context["form"]["system"].value() == sent["system"][0]
    place = parse(kept.content.decode()).find(f"id_{field}_error")
    assert place is not None
    assert complaint in place.text()


def test_text_typed_over_an_older_version_is_shown_beside_the_newer_one(world: World, whole: AgentVersion) -> None:
    address = f"/agents/{whole.agent_id}/edit/"
    sent = typed(world.alice, address) | {"description": "Mine"}
    update_agent(whole.agent_id, {"system": "Theirs"}, world.acting)
    answer = world.alice.post(address, sent)
    assert answer.status_code == 409
    assert "+system: Theirs" in answer.context["theirs"]
    assert "+description: Mine" in answer.context["yours"]
    assert "system" not in answer.context["yours"]
    again = filled(answer.content.decode())
    assert again["description"] == ["Mine"]
    assert world.alice.post(address, again).status_code == 302
    saved = find_agent(whole.agent_id, world.acting).spec
    assert (saved["description"], saved["system"]) == ("Mine", "Theirs")


def test_a_version_is_restored_as_the_newest_and_started_from(world: World, whole: AgentVersion) -> None:
    update_agent(whole.agent_id, {"system": "Otherwise"}, world.acting)
    page = world.alice.get(f"/agents/{whole.agent_id}/versions/1/").content.decode()
    assert f"/sessions/new/?agent={whole.agent_id}&amp;version=1" in page
    assert world.alice.post(f"/agents/{whole.agent_id}/versions/1/restore/").status_code == 302
    assert find_agent(whole.agent_id, world.acting).spec == whole.spec
    assert find_agent(whole.agent_id, world.acting).version == 3
    missing = world.alice.post(f"/agents/{whole.agent_id}/versions/9/restore/")
    assert missing.status_code == 404
    copy = typed(world.alice, f"/agents/new/?like={whole.agent_id}&version=2")
    assert copy["system"] == ["Otherwise"]
    assert world.alice.post("/agents/new/", {key: value for key, value in copy.items() if key != "version"}).status_code
    made = AgentVersion.objects.exclude(agent_id=whole.agent_id).get(agent__name="Whole")
    assert made.spec["mcp_servers"] == whole.spec["mcp_servers"]


def test_the_matrix_says_what_the_policies_and_rules_will_say(world: World, whole: AgentVersion) -> None:
    rows = {f"{row.server}{row.tool}": row for row in permitted.matrix(whole.spec)}
    assert (rows["bash"].decision, [one.effect for one in rows["bash"].exceptions]) == ("ask", ["deny"])
    assert rows["read"].decision == "allow"
    assert rows["write"].decision == "deny"
    assert rows["web_fetch"].hosts == "docs.example.com"
    assert rows["weather"].decision == ""
    assert rows["ticketsdelete"].decision == "deny"
    assert (rows["ticketsall others"].decision, rows["ticketsall others"].hosts) == ("ask", "mcp.example.com")
    assert [one.index for one in rows["ticketsall others"].exceptions] == [2]
    page = world.alice.get(f"/agents/{whole.agent_id}/").content.decode()
    assert f"/credentials/{world.credential.pk}/" in page
    assert "API_TOKEN" in page
    assert "API_TOKEN" not in world.bob.get(f"/agents/{whole.agent_id}/").content.decode()


def test_a_rule_about_every_call_of_a_tool_decides_before_its_policy(world: World) -> None:
    rules = [{"effect": "ask", "host": "*.example.com"}, {"effect": "deny", "tool": "web_*"}]
    spec = update_agent(world.agent.pk, {"holdfast": {"permission_rules": rules}}, world.acting).spec
    rows = {row.tool: row for row in permitted.matrix(spec)}
    assert (rows["web_fetch"].decision, len(rows["web_fetch"].exceptions)) == ("deny", 1)
    assert (rows["bash"].decision, rows["bash"].exceptions) == ("ask", [])


def test_the_request_that_is_shown_holds_what_was_typed_and_no_key(world: World, whole: AgentVersion) -> None:
    sent = typed(world.alice, f"/agents/{whole.agent_id}/edit/") | {"system": 'It\'s "new"\nJSON'}
    spelled = world.alice.post(f"/agents/{whole.agent_id}/check/", sent).context["spelled"]
    body = json.loads(spelled.curl.split("<<'JSON'\n")[1].rpartition("\nJSON\n")[0])
    assert body == {"version": 1, "system": 'It\'s "new"\nJSON'}
    assert "$HOLDFAST_KEY" in spelled.curl
    compile(spelled.python, "shown", "exec")


def test_cards_count_how_sessions_went(world: World) -> None:
    assert figures.of_agents([world.agent.pk])[world.agent.pk].success is None
    world.append(world.running())
    assert figures.of_agents([world.agent.pk])[world.agent.pk].running == 1
    world.append(world.idle({"type": "end_turn"}))
    found = figures.of_agents([world.agent.pk])[world.agent.pk]
    assert (found.sessions, found.ended, found.success, found.running) == (1, 1, 100, 0)
    shown = world.alice.get("/agents/").content.decode()
    assert "100 %" in shown
    assert "1 of 1" in shown


def test_an_agent_s_page_lists_the_sessions_of_the_version_that_is_shown(world: World) -> None:
    update_agent(world.agent.pk, {"system": "Second"}, world.acting)
    assert "Tidy up" in world.alice.get(f"/agents/{world.agent.pk}/versions/1/").content.decode()
    assert "Tidy up" not in world.alice.get(f"/agents/{world.agent.pk}/versions/2/").content.decode()
