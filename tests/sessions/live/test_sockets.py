"""The pages' websockets: who may watch, what they get, and how they come back."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from agents.models import Workspace
from contract import ids
from sessions import consumers, hub, nudges, overview, presence, render, sockets, streams
from sessions import events as ev
from sessions.events import Draft
from sessions.presence import Presence
from sessions.routing import websocket_urlpatterns
from tests.sessions.live.opening import (
    CLOSES_SECONDS,
    Person,
    close_code,
    closing_code,
    frames,
    next_frame,
    opened,
    session_path,
    socket,
)
from tests.sessions.live.world import World, aside, delta, eventually, make_world, run, start

if TYPE_CHECKING:
    from contract.acting import Acting

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_stranger_is_told_to_sign_in(world: World) -> None:
    assert closing_code(session_path(world), None) == 4401
    assert closing_code("/ws/inbox/", None) == 4401


def test_no_socket_of_the_installation_opens_for_a_stranger(world: World) -> None:
    """Every path of the routing table, so that a new socket can't be forgotten here."""
    for pattern in websocket_urlpatterns:
        path = "/" + str(pattern.pattern).replace("<str:session_id>", world.id)
        assert "<" not in path, f"say here what stands for the parameters of {path}"
        assert closing_code(path, None) == 4401


def test_a_call_that_waits_appears_and_its_answer_too(world: World, alice: Person) -> None:
    async def work() -> tuple[str, str]:
        communicator = socket("/ws/approvals/", alice)
        await opened(communicator)
        first = await next_frame(communicator)
        assert "waiting-count" in first["content"]
        call = Draft(
            ev.TOOL_USE,
            {"name": "bash", "input": {"command": "make live"}, "evaluated_permission": "ask"},
        )
        (event,) = await aside(lambda: world.append(call))
        asked = await next_frame(communicator)
        said = Draft(ev.USER_TOOL_CONFIRMATION, {"tool_use_id": event.pk, "result": "deny"}, private={"by": "ben"})
        await aside(lambda: world.append(said))
        answered = await next_frame(communicator)
        await communicator.disconnect()
        return asked["content"], answered["content"]

    asked, answered = run(work)
    assert "approval waiting" in asked
    assert "Denied by ben" in answered


def test_whoever_is_removed_loses_the_socket_though_nothing_happens_in_the_session(world: World, alice: Person) -> None:
    async def work() -> int:
        communicator = socket(session_path(world), alice)
        await opened(communicator)
        await eventually(lambda: streams.open_count(f"user:{alice.user.pk}") == 1)
        await aside(alice.membership.delete)
        hub.current()._tell_watchers(nudges.person(alice.user.pk))  # as the nudge does, where Redis carries it
        return await close_code(communicator)

    assert run(work) == 4401


def test_whoever_is_removed_while_the_socket_looks_is_told_to_sign_in(
    world: World, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sign-in is read before the membership: a removal in between ends both."""
    find = Presence._membership

    def removed_meanwhile(presence: Presence, user: Any, chosen: str | None) -> Any:
        alice.membership.delete()
        return find(presence, user, chosen)

    monkeypatch.setattr(Presence, "_membership", removed_meanwhile)
    assert closing_code(session_path(world), alice) == 4401


def test_an_outsider_and_a_wrong_id_are_refused_alike(world: World, alice: Person) -> None:
    charlie = Person("charlie", Workspace.objects.create(name="elsewhere"))
    assert closing_code(session_path(world), charlie) == 4403
    assert closing_code("/ws/sessions/sesn_nowhere/", alice) == 4403
    assert closing_code("/ws/inbox/", Person("nobody", None)) == 4403


@pytest.mark.parametrize("origin", [b"http://evil.example", b"http://localhost:3000", b"null"])
def test_another_sites_page_may_not_open_a_socket(world: World, alice: Person, origin: bytes) -> None:
    async def work() -> bool:
        connected, _ = await socket(session_path(world), alice, origin).connect(CLOSES_SECONDS)
        return bool(connected)

    assert run(work) is False


def test_events_arrive_as_fragments_that_bear_their_seq(world: World, alice: Person) -> None:
    world.say("before the page was made")
    world.say("between render and connect")

    async def work() -> list[dict[str, Any]]:
        communicator = socket(session_path(world, after=1), alice)
        await opened(communicator)
        seen = [await next_frame(communicator)]
        await aside(lambda: world.say("<b>live</b>"))
        seen.append(await next_frame(communicator))
        await communicator.disconnect()
        return seen

    missed, live = run(work)
    assert (missed["seq"], live["seq"]) == (2, 3)
    assert missed["type"] == ev.AGENT_MESSAGE
    assert "between render and connect" in missed["content"]
    assert missed["target"] == "#log"
    assert "<b>live</b>" not in live["content"]


def test_a_socket_that_comes_back_goes_on_where_it_was(world: World, alice: Person) -> None:
    async def work() -> list[int]:
        seen: list[int] = []
        for _ in range(4):
            communicator = socket(session_path(world, after=seen[-1] if seen else 0), alice)
            await opened(communicator)
            await aside(lambda: world.append(*[Draft(ev.AGENT_THINKING)] * 3))
            seen += [(await next_frame(communicator))["seq"] for _ in range(2)]
            await communicator.disconnect()
        return seen

    assert run(work) == list(range(1, 9))


def test_unfinished_text_is_shown_without_a_seq(world: World, alice: Person) -> None:
    message = ids.event_id()

    def reply() -> None:
        world.begin_request()
        nudges.publish_delta(world.id, world.primary.pk, start(message))
        nudges.publish_delta(world.id, world.primary.pk, delta(message, "5 < 6"))

    async def work() -> list[dict[str, Any]]:
        communicator = socket(session_path(world), alice)
        await opened(communicator)
        await eventually(lambda: streams.open_count(f"user:{alice.user.pk}") == 1)
        await aside(reply)
        seen = [await next_frame(communicator) for _ in range(3)]
        await communicator.disconnect()
        return seen

    begun, started, text = run(work)
    assert begun["seq"] == 1
    assert (started["type"], text["type"]) == ("event_start", "event_delta")
    assert "seq" not in started
    assert "seq" not in text
    assert "5 &lt; 6" in text["content"]


def _loses(world: World, person: Person, what: Any, monkeypatch: pytest.MonkeyPatch, path: str = "") -> int:
    monkeypatch.setattr(presence, "FRESH_SECONDS", 0.0)

    async def work() -> int:
        communicator = socket(path or session_path(world, after=0), person)
        await opened(communicator)
        await aside(lambda: world.say("seen"))
        await next_frame(communicator)
        await aside(what)
        await aside(lambda: world.say("not for these eyes"))
        async for frame in frames(communicator):
            assert "not for these eyes" not in json.dumps(frame)
            return 0
        return 1

    return run(work)


def test_signing_out_ends_the_socket_before_the_next_frame(
    world: World, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _loses(world, alice, alice.client.logout, monkeypatch) == 1


def test_losing_the_membership_ends_the_socket_before_the_next_frame(
    world: World, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _loses(world, alice, alice.membership.delete, monkeypatch) == 1


def test_a_deactivated_account_ends_the_socket_before_the_next_frame(
    world: World, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deactivate() -> None:
        alice.user.is_active = False
        alice.user.save(update_fields=["is_active"])

    assert _loses(world, alice, deactivate, monkeypatch) == 1


def test_the_end_of_the_session_closes_the_socket_for_good(world: World, alice: Person) -> None:
    async def work() -> tuple[list[str], int]:
        communicator = socket(session_path(world), alice)
        await opened(communicator)
        await eventually(lambda: streams.open_count(f"user:{alice.user.pk}") == 1)
        await aside(lambda: nudges.publish_deleted(world.id))
        first = await next_frame(communicator)
        return [first["type"]], await close_code(communicator)

    assert run(work) == ([ev.SESSION_DELETED], 1000)


def test_one_person_may_not_open_sockets_without_end(world: World, alice: Person, settings: Any) -> None:
    settings.HOLDFAST_SOCKETS_PER_PERSON = 0
    assert closing_code(session_path(world), alice) == consumers.TOO_MANY


def test_a_failure_while_writing_asks_the_browser_to_come_back(
    world: World, alice: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the database is away")

    monkeypatch.setattr(streams, "subscribe", broken)
    assert closing_code(session_path(world), alice) == sockets.COME_BACK
    assert any("lost its socket" in record.message for record in caplog.records)


def test_an_event_that_can_not_be_drawn_is_left_out_and_the_page_goes_on(
    world: World, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise ValueError("no such template")

    monkeypatch.setattr(render, "event_frames", broken)

    async def work() -> dict[str, Any]:
        communicator = socket(session_path(world, after=0), alice)
        await opened(communicator)
        await aside(lambda: world.say("x"))
        frame = await next_frame(communicator)
        await communicator.disconnect()
        return frame

    assert run(work) == {"type": ev.AGENT_MESSAGE, "seq": 1}


def test_the_inbox_shows_the_workspace_and_again_what_changed(
    world: World, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "PAUSE_SECONDS", 0.0)

    async def work() -> tuple[dict[str, str], dict[str, Any]]:
        communicator = socket("/ws/inbox/", alice)
        await opened(communicator)
        first = {}
        for _ in overview.PARTS:
            frame = await next_frame(communicator)
            first[frame["target"]] = frame["content"]
        await eventually(hub.current().connected.is_set)
        await aside(lambda: world.append(Draft(ev.THREAD_RUNNING, {"session_thread_id": world.primary.pk})))
        changed = await next_frame(communicator)
        await communicator.disconnect()
        return first, changed

    first, changed = run(work)
    assert changed["type"] == "inbox"
    assert changed["content"] != first[changed["target"]]


def test_the_inbox_does_not_stir_for_other_workspaces(
    world: World, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "PAUSE_SECONDS", 0.0)
    other = make_world(Workspace.objects.create(name="other"))
    drawn: list[str] = []

    def draw(acting: Acting, zone: object) -> list[dict[str, str]]:
        drawn.append(acting.workspace_id)
        return []

    monkeypatch.setattr(render, "inbox_frames", draw)

    async def work() -> None:
        communicator = socket("/ws/inbox/", alice)
        await opened(communicator)
        await eventually(lambda: len(drawn) == 1 and hub.current().connected.is_set())
        await asyncio.sleep(0)
        await aside(lambda: other.say("theirs"))
        await aside(lambda: world.say("ours"))
        await eventually(lambda: len(drawn) == 2)
        await communicator.disconnect()

    run(work)
    assert drawn == [world.session.workspace_id] * 2
