"""MCP servers by the SDK alone: asked, allowed, denied, failing, and back (spec core 5.5, 13.2, advanced 3)."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.agents.mcp import peer as peers
from tests.sdk.talk import TOOLSET, Talk, all_of, only, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import anthropic

    from tests.agents.mcp.peer import Peer

ASKED = {"type": "mcp_toolset", "mcp_server_name": "docs"}
FREE = {**ASKED, "default_config": {"permission_policy": {"type": "always_allow"}}}


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with peers.running() as running:
        yield running


def begin(client: anthropic.Anthropic, url: str, *tools: Any) -> Talk:
    servers: Any = [{"type": "url", "name": "docs", "url": url}]
    agent = client.beta.agents.create(name="Reader", model="demo", tools=list(tools), mcp_servers=servers)
    environment = client.beta.environments.create(name=f"env {time.time_ns()}", config={"type": "cloud"})
    return Talk(client, client.beta.sessions.create(agent=agent.id, environment_id=environment.id).id)


def use(tool: str, given: str = "{}") -> str:
    return f"use mcp__docs__{tool} with `{given}`"


@pytest.mark.proves("agent.mcp_tool_use", "agent.mcp_tool_result")
def test_a_call_is_asked_for_by_default_and_then_allowed_or_denied(client: anthropic.Anthropic, peer: Peer) -> None:
    talk = begin(client, peer.url, ASKED)
    for answer, expected in (("allow", "echo: hi"), ("deny", "not today")):
        events = talk.says(use("echo", '{"text": "hi"}'))
        call = only(events, "agent.mcp_tool_use")
        assert (call.mcp_server_name, call.name, call.input) == ("docs", "echo", {"text": "hi"})
        assert (call.evaluated_permission, call.evaluation.type) == ("ask", "always_ask")
        assert events[-1].stop_reason.event_ids == [call.id]
        more = {"deny_message": "not today"} if answer == "deny" else {}
        rest = talk.turn({"type": "user.tool_confirmation", "tool_use_id": call.id, "result": answer, **more})
        result = only(rest, "agent.mcp_tool_result")
        assert result.mcp_tool_use_id == call.id
        assert expected in result.content[0].text
        assert bool(result.is_error) == (answer == "deny")
        assert rest[-1].stop_reason.type == "end_turn"


def test_a_permitted_call_runs_at_once_beside_one_in_the_sandbox(client: anthropic.Anthropic, peer: Peer) -> None:
    talk = begin(client, peer.url, {"type": TOOLSET}, FREE)
    events = talk.says("Run `echo here`. Then " + use("add", '{"a": 2, "b": 3}'))
    assert only(events, "agent.mcp_tool_result").content[0].text == "5"
    assert only(events, "agent.tool_result").content[0].text.strip() == "here"


def test_a_picture_reaches_the_log_as_one(client: anthropic.Anthropic, peer: Peer) -> None:
    events = begin(client, peer.url, FREE).says(use("picture"))
    (block,) = only(events, "agent.mcp_tool_result").content
    assert (block.type, block.source.media_type) == ("image", "image/png")


@pytest.mark.proves("session.error mcp_authentication_failed_error")
def test_a_server_that_wants_a_credential_is_told_of_and_the_session_works_on(client: anthropic.Anthropic) -> None:
    with peers.running(TOKEN="nobody-has-it") as guarded:
        talk = begin(client, guarded.url, {"type": TOOLSET}, FREE)
        events = talk.says("Run `echo on`")
    error = only(events, "session.error").error
    assert (error.type, error.mcp_server_name) == ("mcp_authentication_failed_error", "docs")
    assert error.retry_status.type == "retrying"
    assert only(events, "agent.tool_result").content[0].text.strip() == "on"
    assert events[-1].stop_reason.type == "end_turn"


@pytest.mark.proves("session.error mcp_connection_failed_error")
def test_a_server_that_was_down_is_used_once_it_is_back(client: anthropic.Anthropic) -> None:
    with peers.running() as first:
        pass
    talk = begin(client, first.url, FREE)
    events = talk.says("hello")
    error = only(events, "session.error").error
    assert (error.type, error.mcp_server_name) == ("mcp_connection_failed_error", "docs")
    with peers.running(port=first.port):
        events = talk.says(use("echo", '{"text": "back"}'))
    assert all_of(events, "session.error") == []
    assert only(events, "agent.mcp_tool_result").content[0].text == "echo: back"


def test_a_long_result_is_kept_in_the_sandbox_and_a_preview_shown(client: anthropic.Anthropic, peer: Peer) -> None:
    talk = begin(client, peer.url, {"type": TOOLSET}, FREE)
    events = talk.says(use("big", '{"characters": 1000000}'))
    shown = only(events, "agent.mcp_tool_result").content[0].text
    assert len(shown) < 20_000
    path = re.search(r"/\S+\.txt", shown)
    assert path is not None
    events = talk.says(f"Run `wc -c < {path[0]}`")
    assert only(events, "agent.tool_result").content[0].text.strip() == "1000000"


def test_an_interrupt_ends_a_call_that_takes_its_time(client: anthropic.Anthropic, tmp_path: Any) -> None:
    marks = tmp_path / "started"
    with peers.running(STARTED_FILE=str(marks)) as slow:
        talk = begin(client, slow.url, FREE)
        with talk.watching() as stream:
            talk.send(text(use("sleepy", '{"seconds": 50}')))
            for event in stream:
                if event.type == "agent.mcp_tool_use":
                    break
            end = time.monotonic() + 30
            while not marks.exists() and time.monotonic() < end:
                time.sleep(0.02)
            talk.send({"type": "user.interrupt"})
            for event in stream:
                if event.type == "session.status_idle":
                    break
        assert event.stop_reason.type == "end_turn"
        result = only(talk.log(), "agent.mcp_tool_result")
        assert result.is_error
