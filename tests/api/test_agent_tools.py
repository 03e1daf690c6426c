"""MCP servers and their toolsets, web tools, policies and skills of agents (spec core 5, advanced 3 and 5)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Caller, fits

AGENT = "beta_managed_agents_agent.BetaManagedAgentsAgent"
TOOLSET = {"type": "agent_toolset_20260401"}
ALLOW, ASK, AUTO = ({"type": kind} for kind in ("always_allow", "always_ask", "auto"))
SERVER = {"type": "url", "name": "docs", "url": "https://mcp.example.com/docs"}
MCP = {"type": "mcp_toolset", "mcp_server_name": "docs"}


def create(alice: Caller, **fields: Any) -> dict[str, Any]:
    made = alice.post("/agents", {"name": "Coder", "model": "m", **fields})
    fits(AGENT, made)
    assert alice.get(f"/agents/{made['id']}") == made
    return made


def web(name: str, **fields: Any) -> dict[str, Any]:
    return {"tools": [{**TOOLSET, "configs": [{"name": name, **fields}]}]}


def test_a_server_and_its_toolset_are_kept_with_every_default_filled_in(alice: Caller) -> None:
    configs = [{"name": "search", "permission_policy": ALLOW}, {"name": "delete", "enabled": False}]
    made = create(alice, mcp_servers=[SERVER], tools=[{**MCP, "configs": configs}])
    assert made["mcp_servers"] == [SERVER]
    assert made["tools"] == [
        {
            **MCP,
            "default_config": {"enabled": True, "permission_policy": ASK},
            "configs": [
                {"name": "search", "enabled": True, "permission_policy": ALLOW},
                {"name": "delete", "enabled": False, "permission_policy": ASK},
            ],
        }
    ]


def test_servers_and_toolsets_change_only_together(alice: Caller) -> None:
    made = create(alice, mcp_servers=[SERVER], tools=[MCP])
    path = f"/agents/{made['id']}"
    assert alice.refused("POST", path, {"mcp_servers": []}).message.startswith("tools.0.mcp_server_name")
    assert alice.refused("POST", path, {"tools": None}).message.startswith("mcp_servers")
    assert alice.get(path) == made
    cleared = alice.post(path, {"tools": None, "mcp_servers": None})
    assert (cleared["tools"], cleared["mcp_servers"], cleared["version"]) == ([], [], 2)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"mcp_servers": [SERVER]}, "mcp_servers"),
        ({"tools": [MCP]}, "tools.0.mcp_server_name"),
        ({"mcp_servers": [SERVER], "tools": [MCP, MCP]}, "tools.1.mcp_server_name"),
        ({"mcp_servers": [SERVER, SERVER], "tools": [MCP]}, "mcp_servers"),
        ({"mcp_servers": [{**SERVER, "name": f"s{n}"} for n in range(21)]}, "mcp_servers"),
        ({"mcp_servers": [{**SERVER, "name": ""}]}, "mcp_servers.0.name"),
        ({"mcp_servers": [{**SERVER, "name": "n" * 256}]}, "mcp_servers.0.name"),
        ({"mcp_servers": [{**SERVER, "url": "https://" + "x" * 2_041}]}, "mcp_servers.0.url"),
        ({"mcp_servers": [{**SERVER, "url": "ftp://mcp.example.com"}]}, "mcp_servers.0.url"),
        ({"mcp_servers": [{**SERVER, "url": "https://me:pw@mcp.example.com"}]}, "mcp_servers.0.url"),
        ({"mcp_servers": [{**SERVER, "url": "https://mcp.example.com:99999"}]}, "mcp_servers.0.url"),
        ({"mcp_servers": [{**SERVER, "authorization_token": "t"}]}, "mcp_servers.0.authorization_token"),
        ({"mcp_servers": [SERVER], "tools": [{**MCP, "configs": [{"name": "n" * 129}]}]}, "tools.0.configs.0.name"),
        (
            {"mcp_servers": [SERVER], "tools": [{**MCP, "configs": [{"name": "a", "type": "a"}]}]},
            "tools.0.configs.0.type",
        ),
        (
            {"mcp_servers": [SERVER], "tools": [{**MCP, "configs": [{"name": f"t{n}"} for n in range(257)]}]},
            "tools",
        ),
    ],
)
def test_servers_that_break_a_rule_are_refused(alice: Caller, change: dict[str, Any], named: str) -> None:
    refused = alice.refused("POST", "/agents", {"name": "Coder", "model": "m", **change})
    assert refused.status == 400
    assert refused.message.startswith(named)


def test_every_policy_is_kept(alice: Caller) -> None:
    configs = [{"name": "bash", "permission_policy": AUTO}, {"name": "read"}]
    tools = [{**TOOLSET, "default_config": {"permission_policy": ASK}, "configs": configs}]
    (toolset,) = create(alice, tools=tools)["tools"]
    assert toolset["default_config"] == {"enabled": True, "permission_policy": ASK}
    assert [config["permission_policy"] for config in toolset["configs"]] == [AUTO, ASK]


def test_the_settings_of_web_tools_are_kept_and_filled_in(alice: Caller) -> None:
    client = {"type": "only", "tools": [{"type": "tool_reference", "name": "look_up"}]}
    fetch = {
        "name": "web_fetch",
        "allowed_domains": ["docs.example.com", "Example.org/"],
        "max_content_tokens": 5_000,
        "url_sources": {"user_input": "none", "client_tool_results": client},
    }
    place = {"type": "approximate", "city": "Paris", "country": "FR", "timezone": "Europe/Paris"}
    search = {"name": "web_search", "blocked_domains": ["example.com/blog"], "user_location": place}
    custom = {"type": "custom", "name": "look_up", "description": "d", "input_schema": {"type": "object"}}
    made = create(alice, tools=[{**TOOLSET, "configs": [fetch, search]}, custom])
    shown_fetch, shown_search = made["tools"][0]["configs"]
    filled = {"user_input": {"type": "none"}, "server_tool_results": {"type": "all"}, "client_tool_results": client}
    common = {"enabled": True, "permission_policy": ALLOW}
    expected = {**fetch, **common, "type": "web_fetch", "blocked_domains": None, "url_sources": filled}
    assert shown_fetch == expected
    assert shown_search == {
        **search,
        **common,
        "type": "web_search",
        "allowed_domains": None,
        "user_location": {**place, "region": None},
    }
    assert alice.post(f"/agents/{made['id']}", {"tools": made["tools"]}) == made


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (web("web_fetch", allowed_domains=["a.example"], blocked_domains=["b.example"]), "Only one of allowed_domains"),
        (web("web_fetch", allowed_domains=[]), "allowed_domains: Empty list of domains is ambiguous."),
        (web("web_fetch", allowed_domains=["10.0.0.1"]), "allowed_domains.0: IP addresses are not supported"),
        (web("web_search", blocked_domains=["[::1]"]), "blocked_domains.0: IP addresses are not supported"),
        (web("web_fetch", allowed_domains=[f"d{n}.example" for n in range(65)]), "allowed_domains: at most 64"),
        (web("web_fetch", allowed_domains=["a." * 127 + "com"]), "allowed_domains.0: must be"),
        (web("web_fetch", allowed_domains=["a.example", "A.example/"]), "allowed_domains: names a domain more"),
        (web("web_fetch", allowed_domains=["a.example/path"]), "allowed_domains.0: must not have a path"),
        (web("web_search", allowed_domains=["a.example/p?q"]), "allowed_domains.0: holds characters"),
        (web("web_fetch", max_content_tokens=0), "max_content_tokens: must be from 1 to"),
        (web("web_fetch", url_sources=dict.fromkeys(
            ("user_input", "server_tool_results", "client_tool_results"), "none")), "at least one source"),
        (web("web_fetch", url_sources={"server_tool_results": {"type": "only", "tools": [
            {"type": "tool_reference", "name": "bash"}]}}), "may only name"),
        (web("web_fetch", url_sources={"client_tool_results": {"type": "except", "tools": [
            {"type": "tool_reference", "name": "absent"}]}}), "there is no custom tool"),
        (web("web_fetch", url_sources={"client_tool_results": {"type": "only", "tools": []}}), "1 to 128"),
        (web("web_fetch", url_sources={"user_input": {"type": "only", "tools": []}}), "user_input"),
        (web("web_search", user_location={"type": "approximate", "country": "fr"}), "user_location.country: not a"),
        (web("web_search", user_location={"type": "approximate", "timezone": "Mars/Base"}), "user_location.timezone"),
        (web("web_search", user_location={"type": "approximate", "city": "x" * 256}), "user_location.city"),
        (web("bash", allowed_domains=["a.example"]), "allowed_domains"),
    ],
)  # fmt: skip
def test_web_settings_that_break_a_rule_are_refused(alice: Caller, change: dict[str, Any], text: str) -> None:
    refused = alice.refused("POST", "/agents", {"name": "Coder", "model": "m", **change})
    assert refused.status == 400
    assert refused.message.startswith("tools.0.configs.0")
    assert text in refused.message


@pytest.mark.parametrize(
    "domain",
    ["localhost", "printer.local", "db.internal", "com", "*.example.com", "https://a.example", "a.example:80", "ä.de",
     "a b.example", "u@a.example", "-a.example"],
)  # fmt: skip
def test_names_that_are_no_public_hosts_are_refused(alice: Caller, domain: str) -> None:
    body = {"name": "Coder", "model": "m", **web("web_fetch", allowed_domains=[domain])}
    assert alice.refused("POST", "/agents", body).message.startswith("tools.0.configs.0.allowed_domains.0")


def test_null_domains_mean_no_limit(alice: Caller) -> None:
    made = create(alice, **web("web_search", allowed_domains=None, blocked_domains=["ads.example"]))
    assert made["tools"][0]["configs"][0]["allowed_domains"] is None


@pytest.fixture
def skill(alice: Caller) -> str:
    from agents.skills.actions import create_skill
    from agents.skills.bundle import Part

    head = b"---\nname: sums\ndescription: Adds numbers up.\n---\nAdd them.\n"
    return create_skill([Part("sums/SKILL.md", head)], None, alice.acting).pk


def test_skills_are_kept_with_their_version_resolved(alice: Caller, skill: str) -> None:
    version = alice.get(f"/skills/{skill}")["latest_version_id"]
    wanted = [{"type": "custom", "skill_id": skill}, {"type": "anthropic", "skill_id": "xlsx"}]
    made = create(alice, tools=[TOOLSET], skills=wanted)
    assert made["skills"] == [{**wanted[0], "version": version}, {**wanted[1], "version": "latest"}]
    pinned = [{"type": "custom", "skill_id": skill, "version": version}]
    assert alice.post(f"/agents/{made['id']}", {"skills": pinned})["skills"] == pinned
    assert alice.post(f"/agents/{made['id']}", {"skills": None})["skills"] == []


def test_skills_that_break_a_rule_are_refused(alice: Caller, charlie: Caller, skill: str) -> None:
    def refused(who: Caller, *skills: dict[str, Any], tools: Any = (TOOLSET,)) -> tuple[int, str]:
        body = {"name": "Coder", "model": "m", "tools": list(tools), "skills": list(skills)}
        found = who.refused("POST", "/agents", body)
        return found.status, found.message.partition(":")[0]

    mine = {"type": "custom", "skill_id": skill}
    assert refused(alice, mine, tools=()) == (400, "skills")
    assert refused(alice, mine, tools=[{**TOOLSET, "configs": [{"name": "read", "enabled": False}]}]) == (400, "skills")
    assert refused(alice, mine, mine) == (400, "skills")
    assert refused(alice, *({"type": "custom", "skill_id": f"skill_{n}"} for n in range(21))) == (400, "skills")
    assert refused(alice, {**mine, "version": "v" * 65}) == (400, "skills.0.version")
    assert refused(alice, {"type": "anthropic", "skill_id": "chess"}) == (400, "skills.0.skill_id")
    assert refused(alice, {"type": "custom", "skill_id": "skill_none"}) == (404, "skills.0.skill_id")
    assert refused(charlie, mine) == (404, "skills.0.skill_id")
    assert alice.refused("POST", "/agents", {"name": "C", "model": "m", "tools": [TOOLSET],
                                             "skills": [{**mine, "version": "skver_none"}]}).status == 404  # fmt: skip


def test_an_execution_identity_is_kept_and_null_restores_the_default(alice: Caller) -> None:
    role = {"type": "aws_role", "role_arn": "arn:aws:iam::123456789012:role/runner"}
    made = create(alice, execution_identity=role)
    assert made["execution_identity"] == role
    assert alice.post(f"/agents/{made['id']}", {"name": "Other"})["execution_identity"] == role
    default = {"type": "service_account"}
    assert alice.post(f"/agents/{made['id']}", {"execution_identity": None})["execution_identity"] == default
