"""What the sockets tell besides the log that a reading shows: other threads, the trace, parts of set-up pages."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from contract.acting import Acting
from contract.roles import Role
from sessions import caps, hub, streams, threads
from sessions import events as ev
from sessions.events import Draft
from sessions.models import WebhookDelivery, WebhookEndpoint
from tests.sessions.live.opening import Person, closing_code, frames, next_frame, opened, session_path, socket
from tests.sessions.live.world import World, aside, eventually, run

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_reading_hears_of_what_happens_on_threads_that_it_does_not_show(world: World, alice: Person) -> None:
    async def work() -> dict[str, Any]:
        communicator = socket(session_path(world, after=0), alice)
        await opened(communicator)
        await eventually(lambda: streams.open_count(f"user:{alice.user.pk}") == 1)
        await aside(lambda: world.append(Draft(ev.MODEL_START), thread=world.child))
        async for frame in frames(communicator):
            if "seq" not in frame:
                await communicator.disconnect()
                return frame
        raise AssertionError("the socket closed")

    assert run(work) == {"type": "log"}


def test_the_trace_gets_the_rows_of_every_thread(world: World, alice: Person) -> None:
    async def work() -> str:
        page = await aside(lambda: alice.client.get(f"/sessions/{world.id}/trace/").content.decode())
        address = html.unescape(re.search(r'hx-ws:connect="([^"]+)"', page).group(1))  # type: ignore[union-attr]
        communicator = socket(address, alice)
        await opened(communicator)
        await eventually(lambda: streams.open_count(f"user:{alice.user.pk}") == 1)
        await aside(lambda: world.append(Draft(ev.MODEL_START), thread=world.child))
        async for frame in frames(communicator):
            if frame.get("target") in ("#bars", "#trace"):
                await communicator.disconnect()
                return str(frame["content"])
        raise AssertionError("the socket closed")

    assert "Model request" in run(work)


def test_a_live_part_comes_again_when_it_changed_and_only_to_who_may_see_it(world: World, alice: Person) -> None:
    workspace = world.session.workspace
    stamps = {"created_at": world.session.created_at, "updated_at": world.session.created_at}
    endpoint = WebhookEndpoint.objects.create(
        workspace=workspace, url="https://h.example/", enabled_events=[], **stamps
    )
    address = f"/ws/part/?show=deliveries&of={endpoint.pk}"
    assert closing_code(address, alice) == 4403, "a viewer"
    assert closing_code("/ws/part/?show=nothing&of=x", alice) == 4403

    async def work() -> tuple[str, str]:
        communicator = socket(address, await aside(lambda: Person("adam", workspace, "admin")))
        await opened(communicator)
        first = await next_frame(communicator)
        await aside(
            lambda: WebhookDelivery.objects.create(
                endpoint=endpoint,
                event_id="evt_1",
                event_type="session.status_idled",
                body="{}",
                created_at=stamps["created_at"],
            )
        )
        second = await next_frame(communicator)
        await communicator.disconnect()
        return first["content"], second["content"]

    empty, told = run(work)
    assert "Nothing was delivered yet" in empty
    assert "evt_1" in told


def test_the_page_of_limits_comes_again_when_a_session_runs_and_when_a_limit_is_changed(
    world: World, alice: Person
) -> None:
    admin = Acting(world.session.workspace_id, Role.ADMIN, "adam")

    async def work() -> None:
        communicator = socket("/ws/limits/", alice)
        await opened(communicator)
        told = frames(communicator)

        async def shows(words: str) -> None:
            async for frame in told:
                if frame["target"] == "#limits" and words in frame["content"]:
                    return
            raise AssertionError("the socket closed")

        await shows("No session runs")
        await eventually(hub.current().connected.is_set)
        await aside(lambda: world.append(Draft(ev.THREAD_RUNNING, threads.about(world.primary))))
        await shows("number 1 of those that wait")
        await aside(lambda: caps.change_workspace({"concurrent_sessions": 7}, admin))
        await shows("0 of 7 places taken, 1 waits")
        await communicator.disconnect()

    run(work)
