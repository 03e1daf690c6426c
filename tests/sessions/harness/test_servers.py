"""MCP servers in the loop, with the demo model, a real database and real servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agents.mcp.tools import known_as
from contract.roles import Role
from credentials import vaults
from credentials.models import AccessRecord, Credential
from sessions import events as ev
from sessions import log
from sessions.events import Draft
from sessions.harness import runner
from tests.agents.mcp import peer as peers
from tests.credentials import servers as scripted
from tests.sessions.harness.test_loop import ask, say, send
from tests.sessions.rows import acting, make_session, mcp_toolset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sessions.models import Event, Session
    from tests.agents.mcp.peer import Peer
    from tests.credentials.servers import Server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


@pytest.fixture(autouse=True)
def here_is_permitted(settings: Any) -> None:
    settings.HOLDFAST_ALLOWED_NETWORKS = ("127.0.0.1",)


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with peers.running() as running:
        yield running


@pytest.fixture
def server() -> Iterator[Server]:
    yield from scripted.running()


def entries(session: Session, kind: str) -> list[Event]:
    return [event for event in log.read(session.id) if event.type == kind]


def use(tool: str, given: str = "{}") -> str:
    return f"use mcp__docs__{tool} with `{given}`"


def errors(session: Session) -> list[dict[str, Any]]:
    return [event.payload["error"] for event in entries(session, ev.SESSION_ERROR)]


def text_of(event: Event) -> str:
    return str(event.payload["content"][0]["text"])


def lend(session: Session, url: str, **auth: Any) -> Credential:
    """A credential for ``url`` in the session's first vault."""
    admin = acting(session.workspace, Role.ADMIN)
    vault = vaults.create_vault({"display_name": "V"}, admin)
    session.vault_ids = [vault.pk]
    session.save()
    kind = auth.pop("type", "static_bearer")
    return vaults.create_credential(vault.pk, {"auth": {"type": kind, "mcp_server_url": url, **auth}}, admin)


def test_a_permitted_call_runs_and_its_result_reaches_the_model(peer: Peer) -> None:
    session, thread = make_session([mcp_toolset("docs", "always_allow")], mcp_servers={"docs": peer.url})
    found = ask(session, thread, use("echo", '{"text": "hello"}'))
    (call,), (result,) = entries(session, ev.MCP_TOOL_USE), entries(session, ev.MCP_TOOL_RESULT)
    assert (call.payload["mcp_server_name"], call.payload["name"]) == ("docs", "echo")
    assert (call.payload["input"], call.payload["evaluated_permission"]) == ({"text": "hello"}, "allow")
    assert result.payload["mcp_tool_use_id"] == call.id
    assert (text_of(result), result.payload["is_error"]) == ("echo: hello", False)
    assert found.count(ev.MODEL_START) == 2
    assert session.stop_reason == ev.END_TURN
    ask(session, thread, use("echo", '{"text": "more"}'))
    assert text_of(entries(session, ev.MCP_TOOL_RESULT)[1]) == "echo: more"


def test_a_call_waits_for_a_person_by_default_and_runs_or_does_not(peer: Peer) -> None:
    session, thread = make_session([mcp_toolset("docs")], mcp_servers={"docs": peer.url})
    for answer, expected in (("allow", "echo: hi"), ("deny", "denied by the user")):
        ask(session, thread, use("echo", '{"text": "hi"}'))
        call = entries(session, ev.MCP_TOOL_USE)[-1]
        assert session.stop_reason == ev.requires_action([call.id])
        send(session, {"type": ev.USER_TOOL_CONFIRMATION, "tool_use_id": call.id, "result": answer})
        runner.run(thread.id)
        result = entries(session, ev.MCP_TOOL_RESULT)[-1]
        assert result.payload["mcp_tool_use_id"] == call.id
        assert expected in text_of(result)
        assert result.payload["is_error"] == (answer == "deny")


def test_a_pending_call_is_closed_by_an_interrupt_with_a_result_of_its_kind(peer: Peer) -> None:
    session, thread = make_session([mcp_toolset("docs")], mcp_servers={"docs": peer.url})
    ask(session, thread, use("echo", '{"text": "hi"}'))
    send(session, {"type": ev.USER_INTERRUPT})
    (result,) = entries(session, ev.MCP_TOOL_RESULT)
    assert result.payload["is_error"]
    assert ask(session, thread, "hello").count(ev.AGENT_MESSAGE) == 2


def test_only_enabled_tools_are_offered(peer: Peer) -> None:
    entry = mcp_toolset("docs", "always_allow", add={})
    entry["default_config"]["enabled"] = False
    entry["configs"][0]["enabled"] = True
    session, thread = make_session([entry], mcp_servers={"docs": peer.url})
    ask(session, thread, use("add", '{"a": 2, "b": 3}'))
    ask(session, thread, use("echo", '{"text": "hi"}'))
    assert [call.payload["name"] for call in entries(session, ev.MCP_TOOL_USE)] == ["add"]
    assert text_of(entries(session, ev.MCP_TOOL_RESULT)[0]) == "5"


def test_tools_of_the_same_name_are_kept_apart(peer: Peer) -> None:
    with peers.running() as other:
        tools = [mcp_toolset("docs", "always_allow"), mcp_toolset("wiki pages", "always_allow")]
        session, thread = make_session(tools, mcp_servers={"docs": peer.url, "wiki pages": other.url})
        ask(session, thread, use("echo", '{"text": "a"}'))
        ask(session, thread, f"use {known_as('wiki pages', 'echo', {})} with " + '`{"text": "b"}`')
    servers = [call.payload["mcp_server_name"] for call in entries(session, ev.MCP_TOOL_USE)]
    assert servers == ["docs", "wiki pages"]


def test_a_server_that_is_down_is_told_of_once_and_tried_at_the_next_turn(peer: Peer) -> None:
    with peers.running() as first:
        pass
    tools = [mcp_toolset("docs", "always_allow"), mcp_toolset("live", "always_allow")]
    session, thread = make_session(tools, mcp_servers={"docs": first.url, "live": peer.url})
    ask(session, thread, 'use mcp__live__echo with `{"text": "on"}`')
    (error,) = errors(session)
    assert (error["type"], error["mcp_server_name"]) == ("mcp_connection_failed_error", "docs")
    assert error["retry_status"] == {"type": "retrying"}
    assert text_of(entries(session, ev.MCP_TOOL_RESULT)[0]) == "echo: on"
    assert session.stop_reason == ev.END_TURN
    with peers.running(port=first.port):
        ask(session, thread, use("echo", '{"text": "back"}'))
    assert len(errors(session)) == 1
    assert text_of(entries(session, ev.MCP_TOOL_RESULT)[1]) == "echo: back"


def test_a_server_that_wants_a_credential_is_told_of_as_such(server: Server) -> None:
    session, thread = make_session([mcp_toolset("docs", "always_allow")], mcp_servers={"docs": server.url})
    ask(session, thread, "hello")
    (error,) = errors(session)
    assert (error["type"], error["mcp_server_name"]) == ("mcp_authentication_failed_error", "docs")
    lend(session, server.url, token="good")
    ask(session, thread, use("echo"))
    assert len(errors(session)) == 1
    assert len(entries(session, ev.MCP_TOOL_RESULT)) == 1


def test_the_credential_of_the_vault_is_sent_and_its_use_recorded_without_a_value() -> None:
    with peers.running(TOKEN="right-decoy-token") as guarded:
        session, thread = make_session([mcp_toolset("docs", "always_allow")], mcp_servers={"docs": guarded.url})
        credential = lend(session, guarded.url.replace("http://", "HTTP://") + "/", token="right-decoy-token")
        ask(session, thread, use("echo", '{"text": "in"}'))
        ask(session, thread, use("sent"))  # the server says back what it got
    first, second = entries(session, ev.MCP_TOOL_RESULT)
    assert text_of(first) == "echo: in"
    assert "Bearer [secret]" in text_of(second)
    assert errors(session) == []
    uses = AccessRecord.objects.filter(credential_id=credential.pk)
    assert {(use.purpose, use.tool, use.session_id) for use in uses} == {
        ("mcp", "", session.id),
        ("mcp", "echo", session.id),
        ("mcp", "sent", session.id),
    }
    assert not any("right-decoy-token" in str(event.payload) + str(event.private) for event in log.read(session.id))


def test_an_access_token_that_is_over_is_renewed_and_the_rotated_refresh_token_kept(server: Server) -> None:
    server.script.tokens, server.script.grant = {"new"}, (200, {"access_token": "new", "refresh_token": "r-2"})
    session, thread = make_session([mcp_toolset("docs", "always_allow")], mcp_servers={"docs": server.url})
    refresh = {
        "client_id": "c",
        "refresh_token": "r-1",
        "token_endpoint": server.token_url,
        "token_endpoint_auth": {"type": "none"},
    }
    credential = lend(session, server.url, type="mcp_oauth", access_token="old", refresh=refresh)
    ask(session, thread, use("echo"))
    assert (errors(session), len(entries(session, ev.MCP_TOOL_RESULT))) == ([], 1)
    assert [grant.form["refresh_token"] for grant in server.grants()] == ["r-1"]
    kept = vaults.secrets_of(Credential.objects.get(pk=credential.pk))
    assert (kept["access_token"].reveal(), kept["refresh_token"].reveal()) == ("new", "r-2")


def test_a_token_endpoint_that_refuses_is_an_authentication_failure_and_not_asked_by_the_crowd(server: Server) -> None:
    server.script.tokens, server.script.grant = {"new"}, (400, {"error": "invalid_grant"})
    session, thread = make_session([mcp_toolset("docs", "always_allow")], mcp_servers={"docs": server.url})
    refresh = {
        "client_id": "c",
        "refresh_token": "r-1",
        "token_endpoint": server.token_url,
        "token_endpoint_auth": {"type": "none"},
    }
    lend(session, server.url, type="mcp_oauth", access_token="old", refresh=refresh)
    ask(session, thread, "hello")
    ask(session, thread, "hello again")
    assert [error["type"] for error in errors(session)] == ["mcp_authentication_failed_error"] * 2
    assert len(server.grants()) == 1
    assert session.stop_reason == ev.END_TURN


@pytest.mark.parametrize(("tool", "known"), [("echo", False), ("add", True)])
def test_a_call_that_may_have_run_is_not_repeated_unless_it_only_reads(peer: Peer, tool: str, known: bool) -> None:
    session, thread = make_session([mcp_toolset("docs", "always_allow")], mcp_servers={"docs": peer.url})
    say(session, "hello")
    given = {"a": 2, "b": 3} if tool == "add" else {"text": "x"}
    call = Draft(
        ev.MCP_TOOL_USE,
        {"mcp_server_name": "docs", "name": tool, "input": given, "evaluated_permission": "allow"},
        id="sevt_lostcall" + tool,
    )
    request = Draft(ev.MODEL_START, id="sevt_lostrequest" + tool)
    reference = {"type": "tool_use", "event": call.id, "id": "toolu_1", "name": f"mcp__docs__{tool}"}
    private = {"blocks": [reference], "stop_reason": "tool_use", "usage": {}, "cost": "0"}
    end = Draft(ev.MODEL_END, {"model_request_start_id": request.id, "model_usage": {}}, private=private)
    taken = Draft(ev.OPS_TAKEN_OVER, {"from": "a", "by": "b"})
    log.append(session.id, thread.id, [request, call, end, taken])
    runner.run(thread.id)
    (result,) = entries(session, ev.MCP_TOOL_RESULT)
    assert (text_of(result) == "5") if known else ("outcome of this call is unknown" in text_of(result))


def test_a_server_with_too_many_tools_offers_some_and_says_so() -> None:
    with peers.running(MANY="300") as crowded:
        entry = mcp_toolset("docs", "always_allow", many_299={})
        session, thread = make_session([entry], mcp_servers={"docs": crowded.url})
        ask(session, thread, use("many_299", '{"text": "last"}'))
        assert text_of(entries(session, ev.MCP_TOOL_RESULT)[0]) == "echo: last"
        (note,) = entries(session, ev.OPS_TOOLS_LEFT_OUT)
        assert note.payload == {"mcp_server_name": "docs", "count": 300 + 9 - 256}
        ask(session, thread, "hello")
        assert len(entries(session, ev.OPS_TOOLS_LEFT_OUT)) == 1
