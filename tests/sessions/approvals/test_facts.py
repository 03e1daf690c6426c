"""What a waiting call says it would reach, use and cost: on the card, in the API, and without values in notices."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from contract.acting import Acting
from contract.roles import Role
from credentials import vaults
from sessions import events as ev
from sessions import log
from sessions.api.approval_shapes import approval_shape
from sessions.approvals import notices
from sessions.approvals.cards import cards
from sessions.approvals.facts import facts
from sessions.events import Draft
from sessions.models import Approval, Resource, Session

if TYPE_CHECKING:
    from tests.sessions.approvals.conftest import Desk

MCP = "https://mcp.example/mcp"


def lend(desk: Desk, *auths: dict[str, Any], scope: dict[str, Any] | None = None) -> list[str]:
    """Credentials in a vault of the session, by their ids."""
    acting = Acting(desk.workspace.pk, Role.ADMIN, "root")
    vault = vaults.create_vault({"display_name": "V"}, acting)
    more = {"holdfast": {"scope": scope}} if scope else {}
    made = [
        vaults.create_credential(vault.pk, {"auth": auth, "display_name": f"C{place}", **more}, acting)
        for place, auth in enumerate(auths)
    ]
    Session.objects.filter(pk=desk.session.pk).update(vault_ids=[vault.pk])
    return [row.pk for row in made]


def variable(name: str) -> dict[str, Any]:
    return {
        "type": "environment_variable",
        "secret_name": name,
        "secret_value": "s3cret-value",
        "networking": {"type": "limited", "allowed_hosts": ["api.example"]},
    }


def test_a_command_says_which_variables_it_names_and_which_hosts(desk: Desk) -> None:
    named, _ = lend(desk, variable("API_TOKEN"), variable("OTHER_TOKEN"))
    command = 'curl -H "auth: $API_TOKEN" https://api.example/v1 && wget http://b.example:81/x'
    (approval,) = desk.asks(command)
    found = facts([approval])[approval.pk]
    assert found.hosts == ("api.example", "b.example")
    assert [(lent.id, lent.name, lent.rule) for lent in found.credentials] == [(named, "C0", "scope: any")]


def test_a_credential_whose_scope_leaves_the_agent_out_is_not_named(desk: Desk) -> None:
    lend(desk, variable("API_TOKEN"), scope={"agents": ["agent_somebody_else"]})
    (approval,) = desk.asks("echo $API_TOKEN")
    assert facts([approval])[approval.pk].credentials == ()


def test_a_server_s_call_names_its_host_and_the_vault_s_credential(desk: Desk) -> None:
    bearer = {"type": "static_bearer", "token": "s3cret-value", "mcp_server_url": MCP}
    (held,) = lend(desk, bearer)
    snapshot = {**desk.session.agent_snapshot, "mcp_servers": [{"type": "url", "name": "docs", "url": MCP}]}
    Session.objects.filter(pk=desk.session.pk).update(agent_snapshot=snapshot)
    call = {"name": "find", "mcp_server_name": "docs", "input": {"q": "x"}, "evaluated_permission": "ask"}
    (event,) = log.append(desk.session.pk, desk.thread.pk, [Draft(ev.MCP_TOOL_USE, call)])
    shape = approval_shape(Approval.objects.get(pk=event.pk))
    assert shape["hosts"] == ["mcp.example"]
    assert [lent["id"] for lent in shape["credentials"]] == [held]


def test_git_names_the_tokens_of_the_session_s_repositories(desk: Desk) -> None:
    now = desk.session.created_at
    Resource.objects.create(
        session=desk.session, kind="github_repository", details={"url": "https://github.com/a/b"}, sealed=b"x",
        mount_path="/workspace/b", created_at=now, updated_at=now,
    )  # fmt: skip
    push, other = desk.asks("cd b && git push", "ls")
    found = facts([push, other])
    assert [lent.name for lent in found[push.pk].credentials] == ["https://github.com/a/b"]
    assert found[other.pk].credentials == ()


def test_money_and_what_came_before_are_on_card_and_api_alike(desk: Desk) -> None:
    Session.objects.filter(pk=desk.session.pk).update(
        budget={"max_list_cost": {"amount": "500", "currency": "USD"}}, cost="1.25"
    )
    texts = ("one", "two", "three", "four")
    said = [Draft(ev.USER_MESSAGE, {"content": [{"type": "text", "text": text}]}) for text in texts]
    log.append(desk.session.pk, desk.thread.pk, said)
    (approval,) = desk.asks("ls")
    shape = approval_shape(approval)
    (card,) = cards([approval], desk.ben)
    assert [line["text"] for line in shape["before"]] == ["two", "three", "four"]
    assert [line.text for line in card.facts.before] == ["two", "three", "four"]
    assert float(shape["spent"]) == 1.25
    assert card.shown()["left"] == shape["left"]
    assert shape["left"] is not None


def test_a_notice_tells_names_and_never_a_value(desk: Desk) -> None:
    lend(desk, variable("API_TOKEN"))
    said = {"content": [{"type": "text", "text": "the harvest is hidden"}]}
    log.append(desk.session.pk, desk.thread.pk, [Draft(ev.USER_MESSAGE, said)])
    rule = {"effect": "ask", "tool": "bash", "command": "curl"}
    (approval,) = desk.asks("curl https://api.example/?q=barn-seven -d $API_TOKEN", rule=rule)
    told = notices.message(approval)
    assert told.body["hosts"] == ["api.example"]
    assert told.body["credentials"][0]["name"] == "C0"
    assert told.body["rule"]
    assert "Reaches: api.example" in told.text
    assert "Uses: C0" in told.text
    everything = told.subject + told.text + json.dumps(told.body)
    assert not [word for word in ("barn-seven", "s3cret-value", "harvest") if word in everything]
