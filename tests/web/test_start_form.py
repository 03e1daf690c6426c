"""The form that starts a session holds what the API's request holds, and copies an earlier session whole."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from sessions import files, log
from sessions.actions import create_session
from sessions.models import Deployment, Session
from sessions.schedules import actions as schedules
from tests.web.conftest import WEATHER, text
from tests.web.forms import filled, no_rows

if TYPE_CHECKING:
    from tests.web.conftest import World

REPOSITORY = {
    "type": "github_repository",
    "url": "https://github.com/octo/repo",
    "checkout": {"type": "branch", "name": "next"},
    "mount_path": "/workspace/here",
}


OUTCOME = {
    "type": "user.define_outcome",
    "description": "A count",
    "rubric": {"type": "text", "content": "The count is right.\n\nNothing else is said."},
    "max_iterations": 2,
}


def upload(world: World, name: str = "rows.csv") -> Any:
    return files.upload(io.BytesIO(b"1,2\n"), filename=name, mime_type="text/csv", acting=world.acting)


def whole(world: World) -> dict[str, Any]:
    """A session's request with everything the form holds."""
    task = {"type": "user.message", "content": text("Count the rows")}
    return {
        "agent": {
            "type": "agent_with_overrides",
            "id": world.agent.pk,
            "version": 1,
            "model": {"id": "claude-opus-4-6", "effort": "low"},
            "system": None,
            "tools": [WEATHER],
        },
        "environment_id": world.environment.pk,
        "title": "Whole",
        "initial_events": [task, OUTCOME],
        "vault_ids": [world.vault.pk],
        "metadata": {"team": "billing"},
        "budget": {"type": "limit", "max_list_cost": {"amount": "250", "currency": "USD"}},
        "resources": [
            {"type": "file", "file_id": upload(world).pk, "mount_path": "/mnt/session/uploads/in/rows.csv"},
            {"type": "memory_store", "memory_store_id": world.store.pk, "access": "read_only", "instructions": "Look"},
            REPOSITORY,
        ],
        "holdfast": {
            "limits": {"steps": 7, "tokens": 9000, "list_cost": {"amount": "105", "currency": "USD"}},
            "permission_rules": [{"effect": "ask", "tool": "bash"}],
        },
    }


def said(session: Session) -> dict[str, Any]:
    """What a session was started with."""
    resources = [(one.kind, one.mount_path, one.store_id, one.details) for one in session.resources.all()]
    names = ("title", "environment_id", "vault_ids", "metadata", "budget", "limits", "permission_rules")
    snapshot = {name: session.agent_snapshot[name] for name in ("model", "system", "tools", "mcp_servers", "skills")}
    return {name: getattr(session, name) for name in names} | {"resources": resources, "snapshot": snapshot}


def test_a_session_like_an_earlier_one_is_the_same_in_all_it_was_started_with(world: World) -> None:
    world.agent.versions.update(spec=world.agent.versions.get().spec | {"system": "Be kind."})
    first = create_session(whole(world), world.acting)
    page = world.alice.get(f"/sessions/new/?like={first.pk}").content.decode()
    assert 'value="rows.csv, 4 B (file_' in page
    answer = world.alice.post("/sessions/new/", filled(page))
    assert answer.status_code == 302, answer.context["form"].complaints()
    second = Session.objects.get(pk=answer["Location"].split("/")[2])
    assert second.pk != first.pk
    assert said(second) == said(first)
    (asked,) = [one.payload for one in log.read(second.pk) if one.type == "user.define_outcome"]
    (before,) = [one.payload for one in log.read(first.pk) if one.type == "user.define_outcome"]
    assert {**asked, "outcome_id": ""} == {**before, "outcome_id": ""}


@pytest.mark.parametrize("typed", ["rows.csv, 4 B ({})", "rows.csv", "{}", "file_of_mine.csv"])
def test_a_file_is_found_by_its_name_and_mounted(world: World, typed: str) -> None:
    file = upload(world, "file_of_mine.csv" if typed == "file_of_mine.csv" else "rows.csv")
    page = world.alice.post("/sessions/new/", filled(world.alice.get("/sessions/new/").content.decode()) | {
        "deed": "add:files",
    })  # fmt: skip
    assert page.status_code == 200
    assert f"{file.filename}, 4 B ({file.pk})" in page.content.decode()
    sent = filled(page.content.decode()) | {
        "agent": world.agent.pk, "environment": world.environment.pk, "task": "Go",
        "files-0-file": typed.format(file.pk),
    }  # fmt: skip
    started = Session.objects.get(pk=world.alice.post("/sessions/new/", sent)["Location"].split("/")[2])
    assert [one.mount_path for one in started.resources.all()] == [f"/mnt/session/uploads/{file.pk}"]


@pytest.mark.parametrize(
    ("rows", "field", "complaint"),
    [
        ({"files-0-file": "nothing"}, "files-0-file", "of the list"),
        ({"files-0-file": "file_none"}, "", "There is no file file_none"),
        ({"repositories-0-url": "https://example.com/x"}, "repositories-0-url", "github.com"),
        (
            {"repositories-0-url": "https://github.com/a/b", "repositories-0-kind": "commit"},
            "repositories-0-ref",
            "Name",
        ),
        ({"stores-0-store": "memstore_none"}, "stores-0-store", "not one of the available"),
        ({"rules-0-effect": "allow", "rules-0-self_approval": "false"}, "rules-0", "rules that ask"),
        ({"override_effort": "low"}, "override_model", "Name the model"),
        ({"outcome": "A count"}, "rubric", "1 to"),
        ({"outcome": "A count", "rubric": "Right", "outcome_tries": "99"}, "outcome_tries", "1 to 20"),
    ],
)
def test_a_mistake_is_told_at_its_row(world: World, rows: dict[str, str], field: str, complaint: str) -> None:
    sent = filled(world.alice.get("/sessions/new/").content.decode())
    sent |= {"agent": [world.agent.pk], "environment": [world.environment.pk], "task": ["Go"]}
    prefix = next(iter(rows)).partition("-")[0]
    counter = {f"{prefix}-TOTAL_FORMS": "1"} if f"{prefix}-TOTAL_FORMS" in sent else {}
    answer = world.alice.post("/sessions/new/", sent | counter | rows)
    assert answer.status_code == 422
    form = answer.context["form"]
    told = dict(form.complaints()) if field else {"id_": " ".join(form.non_field_errors())}
    assert complaint in told[f"id_{field}"]
    assert complaint in answer.content.decode()


def test_a_deployment_keeps_what_its_form_does_not_change(world: World) -> None:
    body = whole(world) | {"name": "Nightly", "agent": world.agent.pk}
    for name in ("title", "holdfast", "budget"):
        del body[name]
    body["resources"][2] |= {"authorization_token": "kept-secret"}
    made = schedules.create(body, world.acting)
    address = f"/schedules/{made.pk}/edit/"
    page = world.alice.get(address).content.decode()
    answer = world.alice.post(address, filled(page) | {"name": "Each night"})
    assert answer.status_code == 302
    saved = Deployment.objects.get(pk=made.pk)
    assert (saved.name, saved.sealed_tokens) == ("Each night", made.sealed_tokens)
    assert (saved.resources, saved.vault_ids, saved.metadata) == (made.resources, made.vault_ids, made.metadata)
    gone = filled(page) | {"files-TOTAL_FORMS": "0", "metadata-TOTAL_FORMS": "0"}
    assert world.alice.post(address, gone).status_code == 302
    saved.refresh_from_db()
    assert ([one["type"] for one in saved.resources], saved.metadata) == (["memory_store", "github_repository"], {})


TOOLS = [
    {
        "type": "agent_toolset_20260401",
        "default_config": {"enabled": False},
        "configs": [
            {"name": "bash", "enabled": True, "permission_policy": {"type": "always_ask"}},
            {"name": "read", "enabled": True},
        ],
    },
    {
        "type": "mcp_toolset",
        "mcp_server_name": "docs",
        "default_config": {"permission_policy": {"type": "always_allow"}},
        "configs": [{"name": "drop", "enabled": False}],
    },
    WEATHER,
]
SERVERS = [{"type": "url", "name": "docs", "url": "https://docs.example/mcp"}]


def started_by(answer: Any) -> Session:
    assert answer.status_code == 302, answer.context["form"].complaints()
    return Session.objects.get(pk=answer["Location"].split("/")[2])


def test_tools_servers_and_skills_of_one_session_are_set_in_the_rows_of_the_agents_editor(world: World) -> None:
    skill = {"type": "custom", "skill_id": world.skill.pk, "version": world.skill.latest_id}
    over = {"tools": TOOLS, "mcp_servers": SERVERS, "skills": [skill]}
    first = create_session(
        whole(world) | {"agent": {"type": "agent_with_overrides", "id": world.agent.pk, **over}}, world.acting
    )
    page = world.alice.get(f"/sessions/new/?like={first.pk}").content.decode()
    second = started_by(world.alice.post("/sessions/new/", filled(page)))
    assert said(second) == said(first)
    less = filled(page) | {"servers-TOTAL_FORMS": "0", "customs-TOTAL_FORMS": "0", "tool_read": "always_ask"}
    third = started_by(world.alice.post("/sessions/new/", less | {f"skills-{world.skill.pk}": ""}))
    assert (third.agent_snapshot["mcp_servers"], third.agent_snapshot["skills"]) == ([], [])
    (toolset,) = third.agent_snapshot["tools"]
    asked = {one["name"] for one in toolset["configs"] if one["enabled"]}
    assert asked == {"bash", "read"}
    assert {one["permission_policy"]["type"] for one in toolset["configs"] if one["enabled"]} == {"always_ask"}
    unticked = {name: value for name, value in less.items() if name not in ("own_tools", "own_skills")}
    fourth = started_by(world.alice.post("/sessions/new/", unticked))
    assert fourth.agent_snapshot["tools"] == world.agent.versions.get().spec["tools"], "what isn't ticked doesn't count"


def test_overriding_can_begin_with_what_the_chosen_agent_has(world: World) -> None:
    empty = filled(world.alice.get("/sessions/new/").content.decode())
    chosen = empty | {"agent": world.agent.pk, "environment": world.environment.pk, "task": "Go"}
    page = world.alice.post("/sessions/new/", chosen | {"begin": "agent"})
    assert page.status_code == 200
    sent = filled(page.content.decode())
    assert (sent["own_tools"], sent["own_skills"], sent["task"]) == (["on"], ["on"], ["Go"])
    assert sent["overrides_of"] == [f"{world.agent.pk}@1"]
    started = started_by(world.alice.post("/sessions/new/", sent))
    assert started.agent_snapshot["tools"] == world.agent.versions.get().spec["tools"]


SERVER = {
    "servers-0-name": "docs", "servers-0-url": "https://docs.example/mcp", "servers-0-permission": "always_ask",
    **no_rows("servers-0-tools"),
}  # fmt: skip
CUSTOM = {"customs-0-name": "x", "customs-0-description": "d", "customs-0-input_schema": '{"type": "object"}'}


@pytest.mark.parametrize(
    ("over", "field", "complaint"),
    [
        (SERVER | {"servers-0-url": "ftp://docs"}, "servers-0-url", "http"),
        (CUSTOM | {"customs-0-name": "x y"}, "customs-0-name", "letters"),
        (CUSTOM | {"customs-0-input_schema": "{"}, "customs-0-input_schema", "not valid JSON"),
        ({"web_fetch-hosts": "allowed_domains", "web_fetch-domains": "http://x/"}, "web_fetch-domains", "a path"),
        ({"own_skills": "on", "tool_read": "off", "skills-": "latest"}, "skills", "the tool read"),
        ({"own_skills": "on", "skills-": "skver_none"}, "skills-", "not one of the available"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_override_is_told_at_its_field(
    world: World, over: dict[str, str], field: str, complaint: str
) -> None:
    """``skills-`` stands for the field of the world's skill."""
    named = {f"{name}{world.skill.pk}" if name == "skills-" else name: value for name, value in over.items()}
    sent = filled(world.alice.get("/sessions/new/").content.decode())
    sent |= {"agent": [world.agent.pk], "environment": [world.environment.pk], "task": ["Go"], "own_tools": ["on"]}
    sent |= {f"{name.partition('-')[0]}-TOTAL_FORMS": "1" for name in over if name.startswith(("servers", "customs"))}
    answer = world.alice.post("/sessions/new/", sent | named)
    assert answer.status_code == 422
    told = dict(answer.context["form"].complaints())
    assert complaint in told[f"id_{field}{world.skill.pk if field == 'skills-' else ''}"]
    assert '<details class="more" open><summary>Override for this session' in answer.content.decode()
