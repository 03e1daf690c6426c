"""The client against real servers: connections kept, bounded and replaced, calls in every way that they end."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from mcp_types import Tool

from agents.mcp import content, listing, loop
from agents.mcp import pool as pools
from agents.mcp.base import MOST_LISTED, Access, NotAuthorised, ServerFailed, ToolRefused
from agents.mcp.connection import Connection
from agents.mcp.pool import Pool
from config.celery import say_goodbye
from contract.secret import Secret
from credentials.masking import MASK, masker
from credentials.outbound import CheckedTransport
from tests.agents.mcp import peer as peers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.agents.mcp.peer import Peer

SECONDS = 60.0


@pytest.fixture(autouse=True)
def here_is_permitted(settings: Any) -> None:
    settings.HOLDFAST_ALLOWED_NETWORKS = ("127.0.0.1",)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with peers.running() as running:
        yield running


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(loop.shared())
    yield made
    made.close()


def reach(url: str, token: str = "", session: str = "sesn_1") -> Access:
    held = Secret(token) if token else None
    return Access(session, "peer", url, held, CheckedTransport, masker([held] if held else []))


def call(pool: Pool, access: Access, name: str, seconds: float = SECONDS, /, **arguments: Any) -> str:
    """The text of a call's result."""
    answer = pool.call(access, name, arguments, seconds).result(SECONDS)
    return "\n".join(block["text"] for block in content.blocks(answer) if block["type"] == "text")


def test_tools_are_listed_with_what_the_server_says_of_them(pool: Pool, peer: Peer) -> None:
    found = pool.tools(reach(peer.url)).result(SECONDS)
    tools = {tool.name: tool for tool in found.tools}
    assert tools["echo"].description == "Say it again."
    assert tools["echo"].input_schema["properties"]["text"]["type"] == "string"
    assert (tools["add"].read_only, tools["echo"].read_only) == (True, False)
    assert all(tool.is_sound for tool in found.tools)


def test_a_session_keeps_its_connection_and_another_session_has_its_own(pool: Pool, peer: Peer) -> None:
    assert [call(pool, reach(peer.url), "echo", text=word) for word in "ab"] == ["echo: a", "echo: b"]
    assert len(pool._connections) == 1
    call(pool, reach(peer.url, session="sesn_2"), "echo", text="c")
    assert len(pool._connections) == 2


def test_calls_run_side_by_side_on_one_connection(pool: Pool, peer: Peer) -> None:
    waits = [pool.call(reach(peer.url), "sleepy", {"seconds": 1.0}, SECONDS) for _ in range(8)]
    started = time.monotonic()
    assert all(not wait.result(SECONDS).get("isError") for wait in waits)
    assert time.monotonic() - started < 6  # one after the other would be 8 s
    assert len(pool._connections) == 1


def test_a_failing_tool_is_an_error_result_and_an_unknown_one_too(pool: Pool, peer: Peer) -> None:
    failed = pool.call(reach(peer.url), "faulty", {}, SECONDS).result(SECONDS)
    assert failed["isError"]
    assert "faulty" in failed["content"][0]["text"]
    try:
        unknown = pool.call(reach(peer.url), "no_such_tool", {}, SECONDS).result(SECONDS)
        assert unknown["isError"]
    except ToolRefused as error:
        assert "no_such_tool" in str(error)


def test_a_picture_comes_back_as_one(pool: Pool, peer: Peer) -> None:
    answer = pool.call(reach(peer.url), "picture", {}, SECONDS).result(SECONDS)
    assert [block["type"] for block in content.blocks(answer)] == ["image"]
    assert content.blocks(answer)[0]["source"]["media_type"] == "image/png"


def test_a_question_to_the_user_is_refused_and_the_connection_lives_on(pool: Pool, peer: Peer) -> None:
    try:
        assert pool.call(reach(peer.url), "question", {}, SECONDS).result(SECONDS)["isError"]
    except ToolRefused as error:
        assert "elicitation" in str(error)
    assert call(pool, reach(peer.url), "echo", text="still here") == "echo: still here"


def test_the_token_is_sent_and_a_wrong_one_is_told_from_a_dead_server(pool: Pool) -> None:
    with peers.running(TOKEN="right") as guarded:
        assert call(pool, reach(guarded.url, "right"), "echo", text="in") == "echo: in"
        for token in ("", "wrong"):
            with pytest.raises(NotAuthorised, match="HTTP 401"):
                pool.tools(reach(guarded.url, token)).result(SECONDS)
    with pytest.raises(ServerFailed) as dead:
        pool.tools(reach(guarded.url, "right", "sesn_3")).result(SECONDS)
    assert not isinstance(dead.value, NotAuthorised)
    assert not dead.value.sent


def test_a_token_is_taken_out_of_whatever_its_server_says(pool: Pool) -> None:
    token = "decoy-token-that-comes-back"
    with peers.running(TOKEN=token) as guarded:
        access = reach(guarded.url, token)
        assert f"Bearer {MASK}" in call(pool, access, "sent")
        assert call(pool, access, "echo", text=f"in the {token} midst") == f"echo: in the {MASK} midst"
        no_such = pool.call(access, token, {}, SECONDS).result(SECONDS)
        assert token not in str(no_such)
    tool = Tool(name="look", description=f"As {token}.", input_schema={"type": "object", "title": token})
    (listed,) = listing.fit("peer", [tool], masker([Secret(token)])).tools
    assert (listed.description, listed.input_schema["title"]) == (f"As {MASK}.", MASK)


def test_a_server_of_the_older_transport_works_by_fallback(pool: Pool) -> None:
    with peers.running(SSE="1") as old:
        access = reach(old.sse_url)
        assert "echo" in {tool.name for tool in pool.tools(access).result(SECONDS).tools}
        assert [call(pool, access, "echo", text=word) for word in "ab"] == ["echo: a", "echo: b"]


def test_a_call_that_takes_too_long_ends_and_may_have_run(pool: Pool, peer: Peer) -> None:
    with pytest.raises(ServerFailed, match="did not answer") as late:
        pool.call(reach(peer.url), "sleepy", {"seconds": 30.0}, 1.0).result(SECONDS)
    assert late.value.sent
    assert call(pool, reach(peer.url), "echo", text="on") == "echo: on"


def test_a_cancelled_call_frees_its_connection(pool: Pool, peer: Peer) -> None:
    waiting = pool.call(reach(peer.url), "sleepy", {"seconds": 30.0}, SECONDS)
    wait_for(lambda: any(found.busy for found in pool._connections.values()))
    waiting.cancel()
    wait_for(lambda: not any(found.busy for found in pool._connections.values()))
    assert call(pool, reach(peer.url), "echo", text="on") == "echo: on"


def test_a_server_that_dies_under_a_call_is_told_of_and_found_again(pool: Pool, tmp_path: Path) -> None:
    marks = tmp_path / "started"
    with peers.running(STARTED_FILE=str(marks)) as first:
        waiting = pool.call(reach(first.url), "sleepy", {"seconds": 30.0}, SECONDS)
        wait_for(marks.exists)
        first.stop()
        with pytest.raises(ServerFailed) as broken:
            waiting.result(SECONDS)
        assert broken.value.sent
        with pytest.raises(ServerFailed) as down:
            pool.tools(reach(first.url)).result(SECONDS)
        assert not down.value.sent
        with peers.running(port=first.port):
            assert call(pool, reach(first.url), "echo", text="back") == "echo: back"


def test_a_server_that_forgot_the_connection_gets_a_new_one(pool: Pool) -> None:
    with peers.running() as first:
        assert call(pool, reach(first.url), "echo", text="a") == "echo: a"
        first.stop()
        with peers.running(port=first.port):
            assert call(pool, reach(first.url), "echo", text="b") == "echo: b"


def test_a_result_that_is_too_large_is_an_error_and_nothing_breaks(pool: Pool, peer: Peer) -> None:
    with pytest.raises(ServerFailed) as large:
        pool.call(reach(peer.url), "big", {"characters": 50_000_000}, SECONDS).result(SECONDS)
    assert large.value.sent
    assert len(call(pool, reach(peer.url), "big", characters=2_000_000)) == 2_000_000


def test_thousands_of_tools_are_listed_once_and_bounded(pool: Pool) -> None:
    with peers.running(MANY="12000") as crowded:
        found = pool.tools(reach(crowded.url)).result(SECONDS)
        assert len(found.tools) == MOST_LISTED
        assert found.dropped
        again = pool.tools(reach(crowded.url, session="sesn_2")).result(SECONDS)
        assert again is found
        assert len(pool._connections) == 1


def test_a_listing_that_changes_while_it_is_read_is_not_believed_later(
    pool: Pool, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Connection.tools

    async def overtaken(connection: Connection) -> Any:
        found = await read(connection)
        connection._on_change()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "tools", overtaken)
        assert pool.tools(reach(peer.url)).result(SECONDS).tools
    assert not pool._listings
    assert pool.tools(reach(peer.url)).result(SECONDS).tools
    assert len(pool._listings) == 1


def test_connections_are_bounded_and_idle_ones_give_way(
    pool: Pool, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "MOST_CONNECTIONS", 2)
    for session in ("a", "b", "c"):
        call(pool, reach(peer.url, session=session), "echo", text="x")
    assert len(pool._connections) == 2
    busy = [pool.call(reach(peer.url, session=session), "sleepy", {"seconds": 30.0}, SECONDS) for session in "bc"]
    wait_for(lambda: sum(found.busy for found in pool._connections.values()) == 2)
    with pytest.raises(ServerFailed, match="busy connections"):
        call(pool, reach(peer.url, session="d"), "echo", text="x")
    for waiting in busy:
        waiting.cancel()


def test_an_address_that_is_not_public_is_not_dialled(pool: Pool, peer: Peer, settings: Any) -> None:
    settings.HOLDFAST_ALLOWED_NETWORKS = ()
    with pytest.raises(ServerFailed, match="ALLOW_NETWORKS"):
        pool.tools(reach(peer.url)).result(SECONDS)


def test_a_server_that_never_answers_costs_the_time_to_connect_and_no_more(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.mcp.connection.CONNECT_SECONDS", 0.5)
    silent = asyncio.run_coroutine_threadsafe(asyncio.start_server(_listen, "127.0.0.1", 0), loop.shared()).result()
    port = silent.sockets[0].getsockname()[1]
    with pytest.raises(ServerFailed, match="did not answer"):
        pool.tools(reach(f"http://127.0.0.1:{port}/mcp")).result(SECONDS)
    loop.shared().call_soon_threadsafe(silent.close)


async def _listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(-1)
    writer.close()


def test_another_token_is_another_listing(peer: Peer) -> None:
    one, other = reach(peer.url, "a"), reach(peer.url, "b")
    assert one.listing_key != other.listing_key
    assert dataclasses.replace(one, session_id="sesn_9").listing_key == one.listing_key
    assert dataclasses.replace(one, session_id="sesn_9").connection_key != one.connection_key


def wait_for(holds: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "nothing happened"
        threading.Event().wait(0.02)


def test_a_worker_that_ends_says_goodbye_to_its_servers(peer: Peer) -> None:
    """Its connections are ended from our side; a process without any makes none for it."""
    pools.pool.cache_clear()
    say_goodbye()
    assert pools.pool.cache_info().currsize == 0
    made = pools.pool()
    assert call(made, reach(peer.url), "echo", text="hello")
    (connection,) = made._connections.values()
    say_goodbye()
    assert not made._connections
    assert not connection.is_alive
    pools.pool.cache_clear()
