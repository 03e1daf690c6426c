"""A sandbox that is lost each time it is opened: the call says why, and that there is no room if that is the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agents.sandboxes.base import CallResult, Opened, OutputFile, SandboxLost, SandboxSpec, SandboxUnavailable
from sessions import events as ev
from sessions.harness.hands import sandbox
from sessions.harness.hands.base import CannotCarryOut
from sessions.harness.state import Call
from sessions.models import File
from tests.sessions.harness.test_door import hand_of
from tests.sessions.rows import make_session

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def test_an_output_is_kept_though_its_sandbox_is_lost_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(Host):
        """The host is killed when the output is read first."""

        reads = 0

        def read_output(self, *_: Any) -> Iterator[bytes]:
            self.reads += 1
            if self.reads == 1:
                raise SandboxUnavailable("The sandbox host went away.")
            yield b"all of it"

    host = Killed(opens=2)
    monkeypatch.setattr(sandbox, "backend", lambda: host)
    _, thread = make_session()
    hand = hand_of(thread)
    hand.open()
    left = CallResult([], is_error=False, outputs=(OutputFile("report.txt", 9, 1),))
    assert [draft.type for draft in hand.finished(CALL, left)] == [ev.OPS_SANDBOX_RESTORED]
    assert File.objects.get(session_id=thread.session_id).size_bytes == 9
    assert (host.opens, host.reads) == (0, 2)


def test_outputs_that_can_not_be_read_are_told_and_the_call_has_its_result(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(Host):
        def read_output(self, *_: Any) -> Iterator[bytes]:
            raise SandboxLost("The sandbox is gone.")

    monkeypatch.setattr(sandbox, "backend", lambda: Gone(opens=9))
    _, thread = make_session()
    hand = hand_of(thread)
    hand.open()
    drafts = hand.finished(CALL, CallResult([], is_error=False, outputs=(OutputFile("report.txt", 9, 1),)))
    told = [draft.payload["message"] for draft in drafts if draft.type == ev.OPS_OUTPUT_LEFT_OUT]
    assert told == ["The outputs of a call were not kept: The sandbox is gone."]
