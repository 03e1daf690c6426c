"""What the pages do: forms, refusals that keep what was typed, filters, answers, files and headers."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from agents.actions import create_agent
from agents.models import Agent, AgentVersion, Environment
from agents.permitted import BUILT_IN
from credentials.models import ApiKey
from sessions import events as ev
from sessions import log
from sessions.events import Draft
from sessions.models import Session
from sessions.projections.status import STATES, state_of
from tests.streamed import whole
from tests.web.conftest import World, bash, result, text
from tests.web.forms import NO_START_ROWS, no_rows

AGENT_FORM = {
    "name": "Helper",
    "description": "",
    "model": "demo",
    "effort": "high",
    "system": "Be brief.",
    **no_rows("rules", "servers", "customs", "metadata"),
    **{f"tool_{name}": "always_allow" for name in BUILT_IN},
}
PAGES = ("/", "/sessions/", "/sessions/new/", "/agents/", "/agents/new/", "/environments/", "/keys/", "/admin/")


@pytest.mark.parametrize("path", [*PAGES, "/sessions/none/", "/login"])
def test_every_answer_carries_the_policy_and_nothing_inline(world: World, path: str) -> None:
    response = world.alice.get(path)
    policy = response["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    shown = response.content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>(?!\s*</script>)", shown) or path == "/admin/"
    assert not re.search(r"<style\b|\sstyle=", shown)


def test_nothing_alarms_on_an_overview_that_just_opened(world: World) -> None:
    world.append(world.running(), bash("ls", ask=True))
    shown = world.alice.get("/").content.decode()
    assert 'role="alert"' not in shown
    assert '<p class="away" id="asked" role="status"></p>' in shown, "empty until somebody new waits"


def test_sign_in_works_and_refuses_a_wrong_password(world: World) -> None:
    wrong = world.nobody.post("/login", {"username": "alice", "password": "guess"})
    assert "don&#x27;t match" in wrong.content.decode() or "don't match" in wrong.content.decode()
    right = world.nobody.post("/login", {"username": "alice", "password": "only for tests", "next": "/agents/"})
    assert right["Location"] == "/agents/"


def test_an_agent_is_made_and_each_change_is_a_version_with_its_diff(world: World) -> None:
    made = world.alice.post("/agents/new/", {**AGENT_FORM, "tool_bash": "always_ask", "tool_grep": "off"})
    agent = Agent.objects.get(name="Helper")
    assert made["Location"] == f"/agents/{agent.pk}/"
    configs = {config["name"]: config for config in agent.versions.get().spec["tools"][0]["configs"]}
    assert configs["bash"]["permission_policy"] == {"type": "always_ask"}
    assert configs["grep"]["enabled"] is False
    changed = {**AGENT_FORM, "tool_bash": "always_ask", "tool_grep": "off", "system": "Be long.", "version": "1"}
    world.alice.post(f"/agents/{agent.pk}/edit/", changed)
    assert AgentVersion.objects.get(agent=agent, version=2).spec["system"] == "Be long."
    page = world.alice.get(f"/agents/{agent.pk}/versions/2/").content.decode()
    assert "-system: Be brief." in page
    assert "+system: Be long." in page
    world.alice.post(f"/agents/{agent.pk}/edit/", {**changed, "version": "2"})
    assert agent.versions.count() == 2


def test_an_agent_someone_else_changed_meanwhile_is_not_overwritten(world: World) -> None:
    address = f"/agents/{world.agent.pk}/edit/"
    world.alice.post(address, {**AGENT_FORM, "version": "1"})
    late = world.alice.post(address, {**AGENT_FORM, "name": "Late", "version": "1"})
    assert late.status_code == 409
    shown = late.content.decode()
    assert "Version 2 was saved meanwhile" in shown
    assert 'value="Late"' in shown
    again = world.alice.post(address, {**AGENT_FORM, "name": "Late", "version": "1", "over": "2"})
    assert again.status_code == 302
    assert 'name="over" value="2"' in shown


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("name", "", "This field is required"),
        ("model", " ", "This field is required"),
        ("rules-TOTAL_FORMS", "", "ManagementForm data is missing"),
    ],
)
def test_a_refused_agent_names_the_field_and_keeps_the_rest(
    world: World, field: str, value: str, complaint: str
) -> None:
    answer = world.alice.post("/agents/new/", {**AGENT_FORM, field: value})
    assert answer.status_code == 422
    shown = answer.content.decode()
    assert complaint in shown
    assert "Be brief." in shown
    assert not Agent.objects.filter(name="Helper").exists()


def test_environments_are_made_changed_and_archived(world: World) -> None:
    form = {"name": "Locked", "description": "", "networking": "limited", "allowed_hosts": "example.com\n*.org.example"}
    form |= no_rows("metadata")
    world.alice.post("/environments/new/", form)
    made = Environment.objects.get(name="Locked")
    assert made.config["networking"]["allowed_hosts"] == ["example.com", "*.org.example"]
    wrong = world.alice.post(f"/environments/{made.pk}/", {**form, "allowed_hosts": "http://example.com"})
    assert wrong.status_code == 422
    taken = world.alice.post("/environments/new/", {**form, "name": "Default"})
    assert "is taken" in taken.content.decode()
    world.alice.post(f"/environments/{made.pk}/archive/")
    assert "Locked is archived." in world.alice.get("/environments/").content.decode()
    assert "Locked" not in world.alice.get("/environments/").content.decode()
    assert "Locked" in world.alice.get("/environments/?archived=1").content.decode()
    assert world.alice.post(f"/environments/{made.pk}/", form).status_code == 403


def test_an_api_key_is_shown_once_and_revoked(world: World) -> None:
    issued = world.alice.post("/keys/new/", {"name": "Laptop", "role": "viewer", "expires": "2999-01-01"})
    plain = re.search(r"sk-hf-[\w-]+", issued.content.decode())
    assert plain is not None
    key = ApiKey.objects.get(name="Laptop")
    assert key.expires_at is not None
    assert issued["Cache-Control"].find("no-store") >= 0
    assert plain.group() not in world.alice.get("/keys/").content.decode()
    world.alice.post(f"/keys/{key.pk}/revoke/")
    key.refresh_from_db()
    assert key.revoked_at is not None
    past = world.alice.post("/keys/new/", {"name": "Old", "role": "viewer", "expires": "2001-01-01"})
    assert past.status_code == 422


def test_a_session_starts_with_its_task_and_files(world: World) -> None:
    form = {
        "agent": world.agent.pk,
        "environment": world.environment.pk,
        "task": "Count the rows.\nThen say so.",
        "title": "",
        **NO_START_ROWS,
        "attachments": [SimpleUploadedFile("a.csv", b"1,2\n"), SimpleUploadedFile("a.csv", b"3,4\n")],
    }
    answer = world.alice.post("/sessions/new/", form)
    started = Session.objects.get(title="Count the rows.")
    assert answer["Location"] == f"/sessions/{started.pk}/"
    assert started.status == "running"
    mounted = list(started.resources.values_list("mount_path", flat=True))
    assert mounted == ["/mnt/session/uploads/a.csv", "/mnt/session/uploads/a-2.csv"]
    assert "a-2.csv" in json.dumps(log.read(started.pk)[0].payload)
    assert "a-2.csv" in world.alice.get(f"/sessions/{started.pk}/files/").content.decode()


def test_a_session_that_can_not_start_keeps_the_task(world: World) -> None:
    world.alice.post(f"/agents/{world.agent.pk}/archive/")
    form = {"agent": world.agent.pk, "environment": world.environment.pk, "task": "Do it", **NO_START_ROWS}
    page = world.alice.get("/sessions/new/").content.decode()
    assert "this workspace has none" in page
    before = Session.objects.count()
    assert world.alice.post("/sessions/new/", form).status_code == 422
    assert Session.objects.count() == before


def test_a_message_is_sent_with_and_without_scripts(world: World) -> None:
    address = f"/sessions/{world.session.pk}/send/"
    plain = world.alice.post(address, {"text": "Hello"})
    assert plain["Location"] == f"/sessions/{world.session.pk}/"
    htmx = {"hx-request": "true"}
    quick = world.alice.post(address, {"text": "More"}, headers=htmx).content.decode()
    assert quick.startswith('<form class="composer"')
    assert "More" not in quick
    empty = world.alice.post(address, {"text": ""}, headers=htmx)
    assert empty.status_code == 422
    assert "Write a message first." in empty.content.decode()
    assert "<html" not in empty.content.decode()
    slow = world.alice.post(address, {"text": ""})
    assert slow.status_code == 422
    assert "Write a message first." in slow.content.decode()
    assert "<html" in slow.content.decode()
    sent = [event for event in log.read(world.session.pk) if event.type == ev.USER_MESSAGE]
    assert len(sent) == 2


@pytest.mark.parametrize("headers", [{}, {"hx-request": "true"}], ids=["plain", "htmx"])
def test_a_message_to_an_archived_session_is_refused_and_kept(world: World, headers: dict[str, str]) -> None:
    world.alice.post(f"/sessions/{world.session.pk}/archive/")
    answer = world.alice.post(f"/sessions/{world.session.pk}/send/", {"text": "Too late"}, headers=headers)
    assert answer.status_code == 422
    assert "Too late" in answer.content.decode()
    assert "takes no more events" in answer.content.decode()


def waiting(world: World) -> tuple[str, str]:
    gated, custom = world.append(
        world.running(),
        bash("make", ask=True),
        Draft(ev.CUSTOM_TOOL_USE, {"name": "weather", "input": {}}),
        world.idle(ev.END_TURN),
    )[2:4]
    return gated.pk, custom.pk


def answers(world: World) -> list[dict[str, Any]]:
    wanted = (ev.USER_TOOL_CONFIRMATION, ev.USER_CUSTOM_TOOL_RESULT)
    return [{"type": event.type, **event.payload} for event in log.read(world.session.pk) if event.type in wanted]


def test_calls_that_wait_are_answered_from_the_page(world: World) -> None:
    gated, custom = waiting(world)
    page = world.alice.get(f"/sessions/{world.session.pk}/").content.decode()
    assert f'name="deny" value="{gated}"' in page
    assert f'name="give" value="{custom}"' in page
    address = f"/sessions/{world.session.pk}/answer/"
    world.alice.post(address, {"deny": gated, f"reason-{gated}": "Not on Friday", f"reason-{custom}": "ignored"})
    world.alice.post(address, {"give": custom, f"answer-{custom}": "Sunny"})
    first, second = answers(world)
    assert (first["result"], first["deny_message"]) == ("deny", "Not on Friday")
    assert second["content"] == text("Sunny")
    again = world.alice.post(address, {"allow": gated}, headers={"hx-request": "true"})
    assert "has already been answered" in again.content.decode()
    assert len(answers(world)) == 2


def test_an_approval_and_a_result_given_as_an_error(world: World) -> None:
    gated, custom = waiting(world)
    address = f"/sessions/{world.session.pk}/answer/"
    assert world.alice.post(address, {"allow": gated}, headers={"hx-request": "true"}).content == b""
    world.alice.post(address, {"fail": custom, f"answer-{custom}": ""})
    first, second = answers(world)
    assert first["result"] == "allow"
    assert second["is_error"] is True
    assert "Press one of the buttons" in world.alice.post(address, headers={"hx-request": "true"}).content.decode()


def test_an_interrupt_reaches_the_log(world: World) -> None:
    world.append(world.running())
    page = world.alice.get(f"/sessions/{world.session.pk}/").content.decode()
    assert 'form="interrupt"' in page
    world.alice.post(f"/sessions/{world.session.pk}/interrupt/")
    assert [event.type for event in log.read(world.session.pk)][-1] == ev.USER_INTERRUPT


def test_a_running_session_is_not_archived(world: World) -> None:
    world.append(world.running())
    answer = world.alice.post(f"/sessions/{world.session.pk}/archive/", follow=True)
    assert "Interrupt it, wait until it rests" in answer.content.decode()
    assert world.fresh().archived_at is None


def test_the_overview_puts_what_waits_first(world: World) -> None:
    waiting(world)
    page = world.alice.get("/").content.decode()
    assert page.index("Needs you") < page.index("Running now") < page.index("Just finished")
    assert "and 1 more" in page
    assert "Asks: <code>$ " in page
    assert "(1)" in page[: page.index("</title>")]


def test_the_list_is_filtered_by_its_address(world: World) -> None:
    shown = world.alice.get("/sessions/?q=tidy&status=idle").content.decode()
    assert "Tidy up" in shown
    nothing = world.alice.get("/sessions/?status=failed").content.decode()
    assert "No session matches the filter above." in nothing
    assert "Remove the filter Status: Failed" in nothing
    nonsense = world.alice.get("/sessions/?status=what&agent=agent_no&page=99&q=%00").content.decode()
    assert "Tidy up" in nonsense
    waiting(world)
    world.append(world.idle(ev.requires_action(["sevt_x"])))
    assert "Tidy up" in world.alice.get("/sessions/?status=needs").content.decode()


def test_raw_events_show_the_wire_and_page_both_ways(world: World) -> None:
    world.append(
        *[Draft(ev.AGENT_MESSAGE, {"content": text(f"n{n}")}, private={"kept": "not on the wire"}) for n in range(130)]
    )
    address = f"/sessions/{world.session.pk}/events/"
    last = world.alice.get(address).content.decode()
    assert "Events 31 to 130 of 130" in last
    assert "not on the wire" not in last
    first = world.alice.get(address, {"before": "31"}).content.decode()
    assert "Events 1 to 30 of 130" in first
    assert "Events 31 to 130" in world.alice.get(address, {"after": "30"}).content.decode()
    assert "No event of this type" in world.alice.get(address, {"type": ev.SESSION_ERROR}).content.decode()


def test_an_output_is_downloaded_as_an_attachment_and_never_shown(world: World) -> None:
    address = f"/sessions/{world.session.pk}/files/"
    assert "report.html" in world.alice.get(address).content.decode()
    response = world.alice.get(f"{address}{world.output.pk}/")
    assert whole(response) == b"hello\n"
    assert response["Content-Disposition"].startswith("attachment")
    assert response["Content-Type"] == "application/octet-stream"
    assert response["X-Content-Type-Options"] == "nosniff"


def test_unknown_cost_reads_unknown(world: World) -> None:
    page = world.alice.get(f"/sessions/{world.session.pk}/").content.decode()
    assert "<b>$0.00</b>" in page
    world.append(Draft(ev.MODEL_END, {}, private={"usage": {"input_tokens": 12000, "output_tokens": 3}, "cost": None}))
    page = world.alice.get(f"/sessions/{world.session.pk}/").content.decode()
    assert "<b>unknown</b>" in page
    assert "<b>12.0k</b> in" in page


def test_a_long_result_says_what_is_left_out(world: World) -> None:
    (call,) = world.append(bash("yes"))
    world.append(result(call, "y" * 50_000))
    page = world.alice.get(f"/sessions/{world.session.pk}/").content.decode()
    assert "The first 30000 characters are left out here" in page


def test_a_session_without_events_says_what_to_do(world: World) -> None:
    page = world.alice.get(f"/sessions/{world.session.pk}/").content.decode()
    assert 'id="log" aria-label="Transcript"></ol>' in page
    assert "Nothing has happened yet." in page
    assert "Say below what to do." in page


def test_an_empty_workspace_teaches(world: World) -> None:
    page = world.charlie.get("/").content.decode()
    assert "Start a demo session" in page
    assert "this workspace has none" in world.charlie.get("/sessions/new/").content.decode()
    assert "Create the first one." in world.charlie.get("/agents/").content.decode()


def test_a_form_without_its_token_is_refused_in_the_look(world: World) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = world.alice.cookies
    response = strict.post("/agents/new/", AGENT_FORM)
    assert response.status_code == 403
    assert "This form has expired" in response.content.decode()


def test_every_state_has_words_an_icon_and_one_of_five_colours() -> None:
    for state in STATES.values():
        assert state.label
        assert state.sentence.endswith(".")
        assert state.colour in {"working", "needs", "done", "failed", "quiet"}
    assert state_of("idle", {"type": "brand_new"}, archived=False, started=True).key == "stopped"
    assert state_of("idle", None, archived=False, started=False).key == "ready"


def test_the_policy_tester_names_the_rule_that_decides(world: World) -> None:
    from agents.actions import update_agent

    rule = {"effect": "deny", "tool": "bash", "command_prefix": "rm", "note": "Nobody deletes."}
    update_agent(world.agent.pk, {"holdfast": {"permission_rules": [rule]}}, world.acting)
    shown = world.alice.post(f"/agents/{world.agent.pk}/try/", {"tool": "bash", "argument": "ls; rm x"})
    page = shown.content.decode()
    assert "rule 1 of the agent says so" in page
    assert "Deny calls of bash, commands that start with “rm”" in page
    assert "Nobody deletes." in page
    assert "Deny calls of bash" in world.alice.get(f"/agents/{world.agent.pk}/").content.decode()


def test_an_agent_shows_what_it_has_besides_tools(world: World) -> None:
    role = {"type": "aws_role", "role_arn": "arn:aws:iam::1:role/runner"}
    roster = {
        "type": "coordinator",
        "agents": [world.agent.pk, {"type": "advisor", "model": "wise-1"}, {"type": "self"}],
    }
    body = {"name": "Lead", "model": "demo", "tools": [{"type": "agent_toolset_20260401"}], "multiagent": roster}
    skills = [{"type": "anthropic", "skill_id": "pdf"}]
    made = create_agent({**body, "skills": skills, "execution_identity": role}, world.acting)
    shown = world.alice.get(f"/agents/{made.agent_id}/").content.decode()
    for piece in (
        "<dd>pdf</dd>",
        f'<a href="/agents/{world.agent.pk}/">Coder</a>, itself</dd>',
        "<dd>wise-1</dd>",
        "arn:aws:iam::1:role/runner",
    ):
        assert piece in shown
    plain = world.alice.get(f"/agents/{world.agent.pk}/").content.decode()
    assert "<dt>Calls on</dt>" not in plain
