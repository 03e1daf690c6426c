"""The inbox of decisions as plain pages: what a card says, and every answer without a script."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from agents.models import Membership
from contract.roles import Role
from sessions import events as ev
from sessions.approvals import deadlines
from sessions.events import Draft
from sessions.models import Approval, Session
from tests.web.conftest import person, text

if TYPE_CHECKING:
    from django.test import Client

    from tests.web.conftest import World

RULE = {"effect": "ask", "tool": "bash", "command_prefix": "git push", "self_approval": False}


def ask(world: World, command: str, rule: dict[str, Any] | None = None) -> str:
    why = {"source": "rule", "index": 1, "rule": rule} if rule else {"source": "policy", "policy": "always_ask"}
    call = {"name": "bash", "input": {"command": command}, "evaluated_permission": "ask"}
    draft = Draft(ev.TOOL_USE, {**call, "evaluation": {"type": "always_ask"}}, private={"permission": why})
    (event,) = world.append(draft)
    return event.pk


def post(client: Client, approval_id: str, **sent: str) -> Any:
    return client.post(f"/approvals/{approval_id}/decide/", sent)


def test_a_card_says_what_asks_why_and_what_happened_before(world: World) -> None:
    world.append(Draft(ev.USER_MESSAGE, {"content": text("Ship it on Friday")}))
    approval = ask(world, "git push origin main", RULE)
    page = world.alice.get("/approvals/").content.decode()
    assert "(1) Approvals" in page
    assert "Ship it on Friday" in page
    assert "Rule 2 of the agent says so" in page
    assert "commands that start with “git push”" in page
    assert "somebody else must decide" in page
    assert f'href="/approvals/{approval}/"' in page


def test_a_call_is_changed_and_allowed_without_a_script(world: World) -> None:
    approval = ask(world, "rm -rf build")
    shown = world.alice.get(f"/approvals/{approval}/").content.decode()
    assert "rm -rf build</textarea>" in shown
    assert post(world.alice, approval, answer="allow", input="rm -rf build/tmp").status_code == 302
    row = Approval.objects.get(pk=approval)
    assert (row.state, row.edited_input, row.via) == ("allowed", {"command": "rm -rf build/tmp"}, "page")
    assert row.shown is not None and row.shown["input"] == {"command": "rm -rf build"}
    after = world.alice.get(f"/approvals/{approval}/").content.decode()
    assert "Approved with changes by alice" in after
    assert "build/tmp" in after, "the card shows what was allowed, not what was asked"
    assert "What alice saw" in after


def test_an_unchanged_call_is_not_recorded_as_changed(world: World) -> None:
    approval = ask(world, "make\nmake test")
    post(world.alice, approval, answer="allow", input="make\r\nmake test")
    assert Approval.objects.get(pk=approval).edited_input is None


def test_a_denial_carries_its_reason(world: World) -> None:
    approval = ask(world, "make")
    post(world.alice, approval, answer="deny", message="Not on a Friday.")
    history = world.alice.get("/approvals/?tab=history").content.decode()
    assert "Denied" in history
    assert Approval.objects.get(pk=approval).message == "Not on a Friday."


def test_what_nobody_answered_in_time_is_shown_as_that_and_not_as_somebody_s_denial(world: World) -> None:
    late = ask(world, "make", {"effect": "ask", "tool": "bash", "expires_after_seconds": 60})
    denied = ask(world, "ls")
    now = timezone.now()
    Approval.objects.filter(pk=late).update(asked_at=now - timedelta(minutes=1), expires_at=now)
    assert deadlines.expire_due() == 1
    post(world.alice, denied, answer="deny")
    page = world.alice.get(f"/sessions/{world.session.pk}/").content.decode()
    decisions = [part.split("</div>")[0] for part in page.split('class="decision"')[1:]]
    assert ["Nobody answered within 1 minute." in one for one in decisions] == [True, False]
    assert ["Denied" in one for one in decisions] == [False, True]


def test_the_second_answer_is_told_of_the_first(world: World) -> None:
    approval = ask(world, "make")
    post(world.alice, approval, answer="allow")
    _, dora = person("dora", world.workspace, Role.OPERATOR)
    response = dora.post(f"/approvals/{approval}/decide/", {"answer": "deny"}, follow=True)
    assert "has already been answered: approved by alice" in response.content.decode()
    pushed = dora.post(f"/approvals/{approval}/decide/", {"answer": "deny"}, headers={"hx-request": "true"})
    assert pushed.status_code == 422
    assert "Approved by alice" in pushed.content.decode()


def test_what_is_remembered_is_shown_before_and_kept_after(world: World) -> None:
    approval = ask(world, "git push origin")
    page = world.alice.get("/approvals/").content.decode()
    assert "Allow calls of bash, commands that start with “git push”" in page
    post(world.alice, approval, answer="allow", remember="session")
    rule = {"effect": "allow", "tool": "bash", "command_prefix": "git push"}
    assert Session.objects.get(pk=world.session.pk).remembered_rules == [rule]


def test_several_are_answered_at_once(world: World) -> None:
    first, second = ask(world, "make"), ask(world, "make test")
    sent = {"ids": [first, second], "answer": "deny", "message": "No."}
    page = world.alice.post("/approvals/decide/", sent, follow=True).content.decode()
    assert "2 denied." in page
    assert "Nothing waits for a person" in page


def test_a_call_is_passed_on_and_found_again(world: World) -> None:
    approval = ask(world, "make")
    _, dora = person("dora", world.workspace, Role.OPERATOR)
    page = world.alice.get("/approvals/").content.decode()
    assert "<option>dora</option>" in page
    assert "<option>bob</option>" not in page
    post(world.alice, approval, answer="pass", assignee="dora")
    assert f"a-{approval}" in dora.get("/approvals/?mine=1").content.decode()
    assert f"a-{approval}" not in world.alice.get("/approvals/?mine=1").content.decode()


def test_a_message_to_a_session_that_waits_for_answers_is_refused_and_kept(world: World) -> None:
    world.append(world.running(), world.idle(ev.requires_action([ask(world, "make")])))
    answer = world.alice.post(f"/sessions/{world.session.pk}/send/", {"text": "Not yet"})
    assert answer.status_code == 422
    assert "Not yet" in answer.content.decode()
    assert "Answer its calls or interrupt it" in answer.content.decode()


def test_stopping_the_session_closes_its_calls(world: World) -> None:
    approval = ask(world, "make")
    world.append(world.running(), world.idle(ev.requires_action([approval])))
    post(world.alice, approval, answer="stop")
    assert Approval.objects.get(pk=approval).state == "closed"


def test_broken_json_of_a_changed_call_is_refused_in_words(world: World) -> None:
    call = {"name": "write", "input": {"file_path": "a", "content": "b"}, "evaluated_permission": "ask"}
    (event,) = world.append(Draft(ev.TOOL_USE, call))
    response = world.alice.post(f"/approvals/{event.pk}/decide/", {"answer": "allow", "input": "{"}, follow=True)
    assert "The changed input is not valid JSON" in response.content.decode()
    assert Approval.objects.get(pk=event.pk).state == "waiting"


def test_a_viewer_reads_and_is_offered_no_answers(world: World) -> None:
    approval = ask(world, "make")
    page = world.bob.get("/approvals/").content.decode()
    assert f"a-{approval}" in page
    assert f'action="/approvals/{approval}/decide/"' not in page


def test_an_attack_in_a_call_stays_text(world: World) -> None:
    ask(world, "</textarea><script>alert(1)</script>")
    page = world.alice.get("/approvals/").content.decode()
    assert "<script>alert(1)" not in page


def test_the_inline_answer_of_a_session_s_page_is_the_same_action(world: World) -> None:
    approval = ask(world, "make", RULE)
    Session.objects.filter(pk=world.session.pk).update(created_by=None)
    world.alice.post(f"/sessions/{world.session.pk}/answer/", {"allow": approval})
    row = Approval.objects.get(pk=approval)
    assert (row.state, row.decided_label, row.via) == ("allowed", "alice", "page")


def test_the_list_is_filtered_by_its_address(world: World) -> None:
    first, second = ask(world, "make"), ask(world, "git push", RULE)
    page = world.alice.get("/approvals/?rule=2").content.decode()
    assert f"a-{second}" in page
    assert f"a-{first}" not in page
    assert f"a-{first}" not in world.alice.get("/approvals/?tool=read").content.decode()
    Membership.objects.filter(user__username="bob").delete()
    response = world.bob.get("/approvals/")  # whoever is removed is signed out at once
    assert (response.status_code, response["Location"].split("?")[0]) == (302, "/login")


def test_every_page_asks_how_many_calls_wait(world: World) -> None:
    assert 'hx-get="/approvals/count/"' in world.bob.get("/skills/").content.decode()
    assert world.bob.get("/approvals/count/").content.decode().strip() == ""
    assert world.approval.pk
    assert '<span class="n">1<' in world.bob.get("/approvals/count/").content.decode()
    assert world.charlie.get("/approvals/count/").content.decode().strip() == ""
