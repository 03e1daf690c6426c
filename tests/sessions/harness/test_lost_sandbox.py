"""A sandbox that is lost each time it is opened: the call says why, and that there is no room if that is the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agents.sandboxes.base import CallResult, Opened, OutputFile, SandboxLost, SandboxSpec, SandboxUnavailable
from contract import blobs
from sessions import events as ev
from sessions import log, snapshots
from sessions.events import Draft
from sessions.harness.hands import sandbox
from sessions.harness.hands.base import CannotCarryOut
from sessions.harness.notes import sandbox_note
from sessions.harness.prompt import REMINDER_OPENS
from sessions.harness.state import Call
from sessions.models import Event, File
from tests.sessions.harness.test_decide import NOW, World
from tests.sessions.harness.test_door import hand_of
from tests.sessions.rows import make_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sessions.models import Thread

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


class Restores(Host):
    """Says what it was given to restore."""

    restored = b""

    def open(self, spec: SandboxSpec, snapshot: Any = None) -> Opened:
        self.restored = snapshot.read() if snapshot else b""
        return Opened(spec.sandbox_id, "restored" if snapshot else "fresh", ())


@pytest.fixture
def kept(settings: Any, tmp_path: Path) -> tuple[Thread, list[str]]:
    """A session with three snapshots on its log, the first two of the same workspace, and their names."""
    settings.HOLDFAST_BLOB_DIR = tmp_path
    session, thread = make_session()
    names = []
    for text in (b"first", b"first", b"last"):
        name, size = snapshots.put([text])
        log.append(session.pk, thread.pk, [Draft(ev.OPS_SNAPSHOT, {"digest": name, "size": size})])
        names.append(name)
    return thread, names


def reopened(thread: Thread, host: Restores, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    """What the timeline says once a sandbox that was used is opened again on a host that has lost it."""
    monkeypatch.setattr(sandbox, "backend", lambda: host)
    log.append(thread.session_id, thread.pk, [Draft(ev.OPS_SANDBOX_OPENED, {"origin": "fresh", "layers": []})])
    drafts = hand_of(thread).open()
    (told,) = [draft.payload for draft in drafts if draft.type == ev.OPS_SANDBOX_RESTORED]
    return told


def test_the_newest_whole_snapshot_is_restored_where_the_last_is_damaged(
    kept: tuple[Thread, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    thread, names = kept
    blobs.path(names[-1]).write_bytes(b"?")
    host = Restores(9)
    told = reopened(thread, host, monkeypatch)
    number = Event.objects.filter(type=ev.OPS_SNAPSHOT, payload__digest=names[0]).order_by("-seq")[0].seq
    assert told == {"origin": "restored", "damaged_snapshot": names[-1], "earlier_snapshot": number}
    assert host.restored == b"first"
    assert "earlier snapshot" in sandbox_note(told)


def test_a_sandbox_starts_empty_where_no_snapshot_is_whole_and_that_is_told(
    kept: tuple[Thread, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    thread, names = kept
    blobs.path(names[-1]).write_bytes(b"?")
    blobs.path(names[0]).unlink()
    told = reopened(thread, Restores(9), monkeypatch)
    assert told == {"origin": "fresh", "damaged_snapshot": names[-1]}
    assert "is empty" in sandbox_note(told)


def test_a_thread_that_opens_it_first_is_told_that_the_sandbox_was_lost(
    kept: tuple[Thread, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session used it before, another thread say; and a fork's first sandbox may lack what it should hold."""
    thread, names = kept
    assert reopened(thread, Restores(9), monkeypatch) == {"origin": "restored"}
    Event.objects.filter(type=ev.OPS_SANDBOX_OPENED).delete()
    blobs.path(names[-1]).write_bytes(b"?")
    monkeypatch.setattr(sandbox, "backend", lambda: Restores(9))
    drafts = hand_of(thread).open()
    assert [draft.type for draft in drafts] == [ev.OPS_SANDBOX_OPENED, ev.OPS_SANDBOX_RESTORED]


@pytest.mark.parametrize("after", [1, 2])
def test_the_model_reads_of_it_behind_the_results(after: int) -> None:
    """Whether the entry stands before the result of the call or behind it."""
    lost = {"origin": "restored"}
    events: list[tuple[str, dict[str, Any], Any]] = [
        (ev.USER_MESSAGE, {"content": [{"type": "text", "text": "go"}]}, None),
        (ev.TOOL_USE, {"name": "bash", "input": {}}, None),
        (
            ev.MODEL_END,
            {},
            {"blocks": [{"type": "tool_use", "id": "toolu_1", "event": "sevt_1"}], "stop_reason": "tool_use"},
        ),
        (ev.TOOL_RESULT, {"tool_use_id": "sevt_1", "content": []}, None),
    ]
    events.insert(2 + after, (ev.OPS_SANDBOX_RESTORED, lost, None))
    world = World()
    for kind, payload, private in events:
        world.add(kind, payload, private=private, processed_at=NOW)
    result, note = world.prompt.messages[-1]["content"]
    assert result["type"] == "tool_result"
    assert note["text"] == f"{REMINDER_OPENS}\n{sandbox_note(lost)}\n</system-reminder>"


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
