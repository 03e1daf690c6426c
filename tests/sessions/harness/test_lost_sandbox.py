"""A sandbox that is lost each time it is opened: the call says why, and that there is no room if that is the reason."""

from __future__ import annotations

from typing import Any

import pytest

from agents.sandboxes.base import CallResult, Opened, SandboxLost, SandboxSpec, SandboxUnavailable
from sessions import events as ev
from sessions.harness.hands import sandbox
from sessions.harness.hands.base import CannotCarryOut
from sessions.harness.state import Call
from tests.sessions.harness.test_door import hand_of
from tests.sessions.rows import make_session

pytestmark = pytest.mark.django_db

CALL = Call("sevt_1", ev.TOOL_USE, "bash", {"command": "dd"}, 1, "allow")
FULL = "The machine's disk is nearly full and the sandbox was writing to it."
NO_ROOM = "/var/holdfast has 90 MiB left, less than the floor of 500 MiB: free some space."


class Host:
    """A sandbox host whose sandboxes are ended for want of room; ``opens`` of them at most."""

    def __init__(self, opens: int) -> None:
        self.opens, self.calls = opens, 0

    def open(self, spec: SandboxSpec, snapshot: Any = None) -> Opened:
        self.opens -= 1
        if self.opens < 0:
            raise SandboxUnavailable(NO_ROOM)
        return Opened(spec.sandbox_id, "fresh", ())

    def call(self, *call: Any, **more: Any) -> CallResult:
        self.calls += 1
        raise SandboxLost(FULL)

    def exchange(self, *about: Any) -> None:
        raise AssertionError("no memory store is attached")


def test_a_sandbox_that_a_full_disk_ends_each_time_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(opens=9)
    monkeypatch.setattr(sandbox, "backend", lambda: host)
    _, thread = make_session()
    hand = hand_of(thread)
    hand.open()
    with pytest.raises(CannotCarryOut, match=f"lost 3 times in a row while this call ran. {FULL}"):
        hand.call(CALL, reattempt=False)
    assert host.calls == 3


def test_a_sandbox_for_which_there_is_no_room_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "WAIT_FOR_HOST_SECONDS", 0.0)
    monkeypatch.setattr(sandbox, "backend", lambda: Host(opens=0))
    _, thread = make_session()
    with pytest.raises(CannotCarryOut, match=NO_ROOM):
        hand_of(thread).open()
