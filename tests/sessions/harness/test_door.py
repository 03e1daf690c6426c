"""Threads that share a sandbox make it ready one after another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.db import connection

from agents.policies import Grant
from agents.sandboxes.base import CallResult, Opened, SandboxSpec
from sessions import events as ev
from sessions import log
from sessions.harness import keeping, spill
from sessions.harness import spec as specs
from sessions.harness.hands import door, registry, sandbox
from sessions.harness.hands.base import Turn
from sessions.harness.hands.sandbox import SandboxHand
from sessions.harness.lease import dsn
from sessions.harness.state import Call, ThreadState
from sessions.models import Resource, Session, Thread
from tests.live import wait_for
from tests.sessions.teams import entries, member, say, settle, team_session

if TYPE_CHECKING:
    from sessions.events import Draft
    from sessions.models import Event

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


class Host:
    """A sandbox host that says what it was asked, and whose clone takes until it may end."""

    def __init__(self) -> None:
        self.specs: list[SandboxSpec] = []
        self.said: list[str] = []
        self.cloning, self.go_on = threading.Event(), threading.Event()

    def open(self, spec: SandboxSpec, snapshot: Any = None) -> Opened:
        self.specs.append(spec)
        return Opened(spec.sandbox_id, "fresh" if len(self.specs) == 1 else "running", ())

    def call(self, sandbox_id: str, call_id: str, name: str, tool_input: Any, **more: Any) -> CallResult:
        self.said.append("clone begins")
        self.cloning.set()
        assert self.go_on.wait(20)
        self.said.append("clone ends")
        return CallResult([{"type": "text", "text": "holdfast-repository: there"}], is_error=False)

    def exchange(self, *about: Any) -> None:
        raise AssertionError("no memory store is attached")


class Wire:
    """A network that lets everything pass."""

    def tell(self, session: Session) -> Any:
        return type("Told", (), {"trust": b"", "environment": ()})()

    def collect(self) -> list[Any]:
        return []

    collect_after_call = collect

    def renew(self) -> None:
        """It forgets nothing."""

    def drafts(self, call: str) -> list[Draft]:
        return []

    def problems(self, session: Session, *, first: bool) -> list[Draft]:
        return []


def hand_of(thread: Thread) -> SandboxHand:
    session = Session.objects.select_related("environment").get(pk=thread.session_id)
    idle = type("Lease", (), {"should_stop": staticmethod(lambda: False), "kept": None})()
    made = SandboxHand(Turn(specs.load(session, thread), ThreadState(thread.pk), idle))
    made._network = Wire()  # type: ignore[assignment]
    return made


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host()
    monkeypatch.setattr(sandbox, "backend", lambda: made)
    return made


def test_a_second_thread_waits_for_the_checkout_and_for_the_mark_of_the_first(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned_away = threading.Event()
    enter = door._enter

    def seen(session_id: str, give_up: Any) -> bool:
        if session_id in door._held:
            turned_away.set()
        return enter(session_id, give_up)

    monkeypatch.setattr(door, "_enter", seen)
    session, primary = team_session(member("alpha"))
    say(session, "Ask alpha to say `ready`.")
    settle(session)
    child = Thread.objects.get(session=session, parent=primary)
    there = {"commit": "abc", "skills": []}  # checked out before, into a sandbox whose files are lost now
    Resource.objects.create(
        session=session,
        kind="github_repository",
        details={"url": "https://github.com/octo/demo", "checkout": None},
        state=there,
        mount_path="/workspace/demo",
        created_at=session.created_at,
        updated_at=session.created_at,
    )

    def ready(thread: Thread) -> None:
        def commit(drafts: list[Draft]) -> list[Event]:
            host.said.append(f"{thread.agent_name} commits")
            return log.append(session.pk, thread.pk, drafts)

        try:
            registry.opened(hand_of(thread), commit)
            host.said.append(f"{thread.agent_name} is ready")
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ready, primary)
        assert host.cloning.wait(20), first.exception(0)
        second = pool.submit(ready, child)
        wait_for(lambda: turned_away.is_set() or len(host.specs) == 2, 20)
        host.go_on.set()
        first.result(20), second.result(20)
    lead = primary.agent_name
    assert host.said[:3] == ["clone begins", "clone ends", f"{lead} commits"]
    assert "alpha commits" in host.said[3:]
    assert [spec.first for spec in host.specs] == [True, False], "only one takes it for a sandbox without calls"
    assert len(entries(session, ev.OPS_SANDBOX_OPENED)) == 2


def test_a_door_that_another_process_holds_is_waited_for_until_the_turn_is_to_end() -> None:
    waited: list[bool] = []

    def give_up() -> bool:
        waited.append(True)
        return len(waited) > 3

    with psycopg.connect(**dsn(), autocommit=True) as elsewhere:
        assert door._taken(elsewhere, "sesn_x")
        with door.door("sesn_x", give_up):
            assert len(waited) == 4
    with door.door("sesn_x", give_up):
        assert door._held == {"sesn_x"}
    assert door._held == set()


def test_a_long_result_opens_the_sandbox_behind_the_door_too(host: Host) -> None:
    session, primary = team_session(member("alpha"))
    hand = hand_of(primary)
    hands: Any = type("Hands", (), {"of": staticmethod(lambda call: hand)})()
    held: list[bool] = []

    def commit(drafts: list[Draft]) -> list[Event]:
        held.append(session.pk in door._held)
        return log.append(session.pk, primary.pk, drafts)

    host.go_on.set()
    long = [{"type": "text", "text": "x" * (spill.LIMIT + 1)}]
    call = Call("sevt_1", ev.MCP_TOOL_USE, "look", {}, 1, "allow", server="files")
    spec = replace(hand._turn.spec, grants={"read": Grant("read", "always_allow")})
    (preview,) = keeping.bounded(long, call, spec, hands, commit)
    assert f"The whole result is in {spill.path_of('sevt_1')}" in preview["text"]
    assert held == [True], "its mark is committed while nobody else may open it"
    assert door._held == set()
