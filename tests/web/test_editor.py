"""The editor of agents holds whatever the API holds, and its rows work by plain buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.http import QueryDict
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agents import bodies
from agents.actions import create_agent, find_agent, new_spec, update_agent
from agents.editing.form import AgentForm
from agents.models import AgentVersion
from agents.permitted import BUILT_IN
from agents.policies import TOOLSET_TYPE
from agents.skills import actions as skills
from agents.skills.bundle import Part
from contract.errors import ApiError
from contract.rows import LIMIT, edited
from tests.web.forms import filled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.web.conftest import World

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("\n \"'<>&"), min_size=1, max_size=30)
WORD = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
POLICY = st.sampled_from(["always_allow", "always_ask", "auto"]).map(lambda kind: {"type": kind})
SWITCH = {"enabled": st.booleans(), "permission_policy": POLICY}
HOSTS = st.lists(st.sampled_from(["a.example.com", "b.example.org", "c.example.net"]), min_size=1, unique=True)


def maybe(**fields: Any) -> Any:
    return st.fixed_dictionaries({}, optional=fields)


def both(first: Any, *others: Any) -> Any:
    return st.tuples(first, *others).map(lambda found: {key: value for one in found for key, value in one.items()})


def named(what: Any, field: str, most: int = 3) -> Any:
    return st.lists(what, max_size=most, unique_by=lambda one: one[field])


def fitting(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule whose tool has what the rule looks at; others are refused."""
    commands, paths = {"command", "command_prefix"} & rule.keys(), {"path"} & rule.keys()
    if "tool" not in rule or not (commands or paths):
        return rule
    if commands and paths:
        return {key: value for key, value in rule.items() if key != "tool"}
    return {**rule, "tool": "bash" if commands else "read"}


CONDITION = st.one_of(
    maybe(command_prefix=TEXT.filter(str.split), path=TEXT),
    maybe(command=TEXT, host=st.just("*.example.com")),
    maybe(mcp_server=TEXT),
)
ASKING = st.one_of(
    maybe(self_approval=st.booleans()),
    both(maybe(on_expiry=st.sampled_from(["deny", "interrupt"])), st.just({"expires_after_seconds": 60})),
)
RULE = both(CONDITION, maybe(tool=TEXT, note=TEXT), st.one_of(
    st.just({"effect": "allow"}), st.just({"effect": "deny"}), both(st.just({"effect": "ask"}), ASKING)
)).map(fitting)  # fmt: skip
SOURCE = st.one_of(
    st.sampled_from([{"type": "all"}, {"type": "none"}]),
    st.sampled_from(["only", "except"]).map(
        lambda kind: {"type": kind, "tools": [{"type": "tool_reference", "name": "web_search"}]}
    ),
)
FETCH = both(
    st.one_of(maybe(allowed_domains=HOSTS), maybe(blocked_domains=HOSTS)),
    maybe(
        max_content_tokens=st.integers(1, 2**31 - 1),
        url_sources=maybe(user_input=st.just({"type": "all"}), server_tool_results=SOURCE),
    ),
)
SEARCH = both(
    st.one_of(maybe(allowed_domains=HOSTS), maybe(blocked_domains=HOSTS)),
    maybe(user_location=both(st.just({"type": "approximate"}), maybe(city=TEXT, country=st.just("US")))),
)
SETTINGS = {"web_fetch": FETCH, "web_search": SEARCH}
CONFIGS = st.tuples(
    *(st.none() | both(st.just({"name": name}), maybe(**SWITCH), SETTINGS.get(name, st.just({}))) for name in BUILT_IN)
).map(lambda found: [one for one in found if one])
TOOLSET = both(
    st.just({"type": "agent_toolset_20260401"}), maybe(default_config=maybe(**SWITCH), configs=CONFIGS)
)  # fmt: skip
JSON = st.recursive(st.none() | st.booleans() | st.integers() | TEXT, lambda deeper: st.lists(deeper, max_size=2))
CUSTOM = st.fixed_dictionaries({
    "type": st.just("custom"),
    "name": WORD.map("own_{}".format),
    "description": TEXT,
    "input_schema": both(st.just({"type": "object"}), maybe(properties=st.dictionaries(WORD, JSON, max_size=2))),
})  # fmt: skip
SERVED = both(st.fixed_dictionaries({"name": TEXT}), maybe(**SWITCH))
SERVER = st.fixed_dictionaries({
    "name": TEXT, "default": maybe(**SWITCH), "configs": named(SERVED, "name"),
    "path": st.from_regex(r"[a-z/]{0,8}", fullmatch=True),
})  # fmt: skip
INLINE = st.sampled_from(["enabled", "disabled"])


def roster(others: list[str]) -> Any:
    pinned: list[Any] = [{"type": "agent", "id": one, "version": 1} for one in others]
    member: st.SearchStrategy[Any] = st.sampled_from([*others, *pinned])
    members = st.lists(member, min_size=1, max_size=2, unique_by=lambda one: one if isinstance(one, str) else one["id"])
    own: st.SearchStrategy[list[Any]] = st.just([]) | st.just([{"type": "self"}])
    advisor: st.SearchStrategy[list[Any]] = st.just([]) | st.just([{"type": "advisor", "model": "claude-opus-4-6"}])
    entries = st.tuples(members, own, advisor).map(lambda found: [*found[0], *found[1], *found[2]])
    part = st.just({"type": "disabled"}) | st.fixed_dictionaries({
        "type": st.just("enabled"), "inline_agents": INLINE.map(lambda kind: {"type": kind}),
        "predefined_agents": members,
    })  # fmt: skip
    return st.one_of(
        st.none(),
        entries.map(lambda agents: {"type": "coordinator", "agents": agents}),
        both(st.just({"type": "multiagent_20261001"}), maybe(
            subagents=part, workflows=part, advisor=st.just({"type": "enabled", "model": "claude-opus-4-6"})
        )),
    )  # fmt: skip


def bodies_of(others: list[str]) -> Any:
    return st.builds(
        assembled,
        fields=both(
            st.fixed_dictionaries({"name": TEXT.filter(lambda name: bool(name.strip()))}),
            maybe(description=TEXT, system=TEXT, metadata=st.dictionaries(TEXT, TEXT | st.just(""), max_size=3)),
        ),
        tools=st.permutations(["toolset", "servers", "customs"]),
        toolset=st.lists(TOOLSET, max_size=1),
        servers=named(SERVER, "name"),
        customs=named(CUSTOM, "name"),
        ours=maybe(
            permission_rules=st.lists(RULE, max_size=4),
            fallback_models=st.lists(WORD, max_size=2, unique=True),
            read_log=st.booleans(),
            limits=maybe(steps=st.integers(1, 10**12), running_seconds=st.just(60)),
        ),
        multiagent=roster(others),
        effort=st.sampled_from(["low", "max"]),
    )


def assembled(fields: Mapping[str, Any], tools: list[str], servers: list[Any], **given: Any) -> dict[str, Any]:
    """A body of the API; every server has its toolset."""
    kinds = {
        "toolset": given["toolset"],
        "customs": given["customs"],
        "servers": [
            {"type": "mcp_toolset", "mcp_server_name": one["name"], "configs": one["configs"]}
            | ({"default_config": one["default"]} if one["default"] else {})
            for one in servers
        ],
    }
    addresses = [
        {"type": "url", "name": one["name"], "url": f"https://mcp.example.com/{one['path']}"} for one in servers
    ]
    return {
        **fields,
        "model": {"id": "claude-opus-4-6", "effort": given["effort"]},
        "tools": [tool for kind in tools for tool in kinds[kind]],
        "mcp_servers": addresses,
        "multiagent": given["multiagent"],
        "holdfast": given["ours"],
    }


def sent(page: Any, **changed: Any) -> QueryDict:
    """What the editor of a page sends, with some fields changed."""
    data = QueryDict(mutable=True)
    for name, values in filled(page.content.decode()).items():
        data.setlist(name, values)
    for name, value in changed.items():
        data[name] = value
    return data


@given(data=st.data())
@settings(
    max_examples=25, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
def test_any_agent_comes_back_from_the_form_as_it_was(world: World, data: Any) -> None:
    others = [world.agent.pk]
    body = data.draw(bodies_of(others))
    try:
        made = create_agent(bodies.AGENT_CREATE.check(body), world.acting)
    except ApiError:
        return  # not an agent of the API
    typed = sent(world.alice.get(f"/agents/{made.agent_id}/edit/"))
    same = AgentForm(typed, acting=world.acting, base=made)
    assert same.checked_body() == {"version": 1}, same.complaints()
    copied = AgentForm(sent(world.alice.get(f"/agents/new/?like={made.agent_id}")), acting=world.acting, like=made.spec)
    again = copied.checked_body()
    assert again is not None, copied.complaints()
    assert new_spec(again, world.acting, made.agent_id) == made.spec


def test_rows_are_added_moved_and_removed_without_scripts(world: World) -> None:
    rules = [{"effect": "deny", "tool": name} for name in ("read", "write", "edit")]
    update_agent(world.agent.pk, {"holdfast": {"permission_rules": rules}}, world.acting)
    address = f"/agents/{world.agent.pk}/edit/"
    page = world.alice.post(address, sent(world.alice.get(address), deed="add:rules"))
    assert page.status_code == 200
    page = world.alice.post(address, sent(page, **{"rules-3-effect": "ask", "deed": "up:rules:3"}))
    page = world.alice.post(address, sent(page, deed="remove:rules:0"))
    assert find_agent(world.agent.pk, world.acting).version == 2  # nothing is saved by that
    assert world.alice.post(address, sent(page)).status_code == 302
    saved = find_agent(world.agent.pk, world.acting).spec["holdfast"]["permission_rules"]
    assert saved == [{"effect": "deny", "tool": "write"}, {"effect": "ask"}, {"effect": "deny", "tool": "edit"}]


def test_a_server_and_its_tools_are_made_of_rows(world: World) -> None:
    address = "/agents/new/"
    page = world.alice.post(address, sent(world.alice.get(address), deed="add:servers"))
    page = world.alice.post(address, sent(page, deed="add:servers-0-tools"))
    typed = {"name": "Served", "servers-0-name": "tickets", "servers-0-url": "https://mcp.example.com/mcp"}
    typed |= {"servers-0-tools-0-name": "delete", "servers-0-tools-0-permission": "off"}
    assert world.alice.post(address, sent(page, **typed)).status_code == 302
    spec = AgentVersion.objects.get(agent__name="Served").spec
    assert spec["mcp_servers"] == [{"type": "url", "name": "tickets", "url": "https://mcp.example.com/mcp"}]
    assert spec["tools"][1] == {
        "type": "mcp_toolset",
        "mcp_server_name": "tickets",
        "default_config": {"enabled": True, "permission_policy": {"type": "always_ask"}},
        "configs": [{"name": "delete", "enabled": False, "permission_policy": {"type": "always_ask"}}],
    }


def test_a_row_that_was_added_and_left_empty_is_none(world: World) -> None:
    address = f"/agents/{world.agent.pk}/edit/"
    page = world.alice.get(address)
    for prefix in ("rules", "servers", "customs", "metadata"):
        page = world.alice.post(address, sent(page, deed=f"add:{prefix}"))
    assert world.alice.post(address, sent(page)).status_code == 302
    assert find_agent(world.agent.pk, world.acting).version == 1


@pytest.mark.parametrize(
    "deed", ["", "add", "add:nothing", "up:rules:9", "down:rules:1", "drop:rules:0", "remove:rules:1000", "up:rules:0"]
)
def test_a_button_that_makes_no_sense_changes_nothing(deed: str) -> None:
    data = QueryDict("rules-TOTAL_FORMS=2&rules-0-tool=a&rules-1-tool=b&x=1")
    assert edited(data, deed).dict() == data.dict()


def test_rows_have_a_bound() -> None:
    data = QueryDict(f"rules-TOTAL_FORMS={LIMIT}")
    assert edited(data, "add:rules")["rules-TOTAL_FORMS"] == str(LIMIT)


def test_a_skill_is_taken_in_the_version_that_is_chosen(world: World) -> None:
    first = world.skill.latest_id
    made = create_agent({"name": "Writer", "model": "demo", "tools": [{"type": TOOLSET_TYPE}], "skills": [
        {"type": "anthropic", "skill_id": "pdf"}, {"type": "custom", "skill_id": world.skill.pk}
    ]}, world.acting)  # fmt: skip
    text = b"---\nname: notes\ndescription: Another way of writing.\n---\n\n# Notes\n"
    newer = skills.create_version(world.skill.pk, [Part("notes/SKILL.md", text)], world.acting)
    page = f"/agents/{made.agent_id}/edit/"
    name = f"skills-{world.skill.pk}"

    def saved(**changed: str) -> Any:
        sent = filled(world.alice.get(page).content.decode()) | changed
        answer = world.alice.post(page, sent)
        return answer if answer.status_code == 422 else find_agent(made.agent_id, world.acting).spec["skills"]

    built_in = {"type": "anthropic", "skill_id": "pdf", "version": "latest"}
    pinned = {"type": "custom", "skill_id": world.skill.pk}
    assert saved(name="Author") == [built_in, pinned | {"version": first}], "what isn't touched stays"
    assert saved(**{name: "latest"}) == [built_in, pinned | {"version": newer.pk}]
    assert "the newest now</option>" in world.alice.get(page).content.decode()
    assert saved(**{name: str(first)}) == [built_in, pinned | {"version": first}]
    skills.delete_version(world.skill.pk, str(first), world.acting)
    assert f"{first}, which is not there any more" in world.alice.get(page).content.decode()
    assert saved(name="Poet")[1] == pinned | {"version": first}, "nobody has asked for another"
    refused = saved(**{"skills-pdf": ""})
    complaint = dict(refused.context["form"].complaints())[f"id_{name}"]
    assert complaint == f"There is no version {first} of skill {world.skill.pk}"
    assert saved(**{name: "", "skills-pdf": ""}) == []
