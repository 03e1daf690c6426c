"""Snapshots of workspaces between turns: each belongs to the rest at which it was read, or is not noted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as installed

from agents.sandboxes.base import SandboxLost
from sessions import events as ev
from sessions import log, threads, workspaces
from sessions.events import Draft
from sessions.models import Session, Thread
from sessions.tasks import run_thread
from sessions.verify import verify
from tests.sessions.harness.test_loop import say
from tests.sessions.rows import make_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


class Disk:
    """The sandbox host, as far as a snapshot needs it: a workspace of one text, and what happens while it is read."""

    def __init__(self) -> None:
        self.text = b"first"
        self.meanwhile: Callable[[], None] | None = None

    def snapshot(self, sandbox_id: str) -> Iterator[bytes]:
        yield self.text
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Disk:
    settings.HOLDFAST_DATA_DIR = tmp_path
    made = Disk()
    monkeypatch.setattr(workspaces, "backend", lambda: made)
    return made


def turn(session: Session, thread: Thread, *happens: str) -> None:
    """A whole turn of a session whose sandbox is on this machine: what ``happens`` between its start and its rest."""
    Session.objects.filter(pk=session.pk).update(machine=installed.HOLDFAST_MACHINE)
    rest = Draft(ev.THREAD_IDLE, threads.about(thread, stop_reason=ev.END_TURN, stop_details=None))
    drafts = [Draft(ev.THREAD_RUNNING, threads.about(thread))]
    for name in happens:
        result = {"tool_use_id": "sevt_1", "content": [], "is_error": False}
        drafts.append(Draft(name, result if name == ev.TOOL_RESULT else {}))
    log.append(session.pk, thread.pk, [*drafts, rest])


def noted(session: Session) -> list[str]:
    return [event.payload["digest"] for event in log.read(session.pk) if event.type == ev.OPS_SNAPSHOT]


@pytest.mark.parametrize("overtaken", [False, True])
def test_a_snapshot_during_which_calls_ran_is_not_noted_and_the_next_rest_s_is(disk: Disk, overtaken: bool) -> None:
    """Whether that of the next rest is made after the slow one or meanwhile (``overtaken``)."""
    session, thread = make_session()
    turn(session, thread, ev.TOOL_RESULT)
    kept: list[str | None] = []

    def another_turn() -> None:
        turn(session, thread, ev.TOOL_RESULT)
        disk.text = b"second"
        if overtaken:
            kept.append(workspaces.keep(session.pk))

    disk.meanwhile = another_turn
    assert workspaces.keep(session.pk) is None
    assert noted(session) == kept
    assert workspaces.is_due(session.pk) is not overtaken
    if not overtaken:
        kept.append(workspaces.keep(session.pk))
    session.refresh_from_db()
    assert noted(session) == kept == [session.snapshot]
    assert not workspaces.is_due(session.pk)
    assert verify(session) == []


def test_what_only_gets_on_the_log_keeps_no_snapshot_from_being_noted(disk: Disk) -> None:
    session, thread = make_session()
    turn(session, thread, ev.TOOL_RESULT)

    def limits_change() -> None:
        log.append(session.pk, thread.pk, [Draft(ev.OPS_LIMITS_CHANGED, {"by": "ann"})])

    disk.meanwhile = limits_change
    assert workspaces.keep(session.pk) is not None
    assert len(noted(session)) == 1


def test_the_same_workspace_is_noted_again_after_calls_and_not_without(disk: Disk) -> None:
    session, thread = make_session()
    turn(session, thread, ev.TOOL_RESULT)
    first = workspaces.keep(session.pk)
    assert workspaces.keep(session.pk) == first
    turn(session, thread, ev.TOOL_RESULT)
    assert workspaces.keep(session.pk) == first
    assert noted(session) == [first, first]


def test_a_turn_that_calls_nothing_keeps_what_the_one_before_left_unkept(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("sessions.wake.keep_workspace", asked.append)
    session, thread = make_session()
    turn(session, thread, ev.TOOL_RESULT)  # whose worker died before it asked for a snapshot
    say(session, "hello")
    run_thread(thread.pk)
    assert asked == [session.pk]
    workspaces.keep(session.pk)
    say(session, "and now?")
    run_thread(thread.pk)
    assert asked == [session.pk]


def test_a_session_that_had_no_sandbox_has_nothing_to_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    session, thread = make_session()
    say(session, "hello")
    run_thread(thread.pk)
    assert not workspaces.is_due(session.pk)


def test_a_sandbox_that_is_lost_is_kept_at_a_later_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    session, thread = make_session()
    turn(session, thread, ev.TOOL_RESULT)

    class Lost:
        def snapshot(self, sandbox_id: str) -> Iterator[bytes]:
            raise SandboxLost("It is gone.")

    monkeypatch.setattr(workspaces, "backend", Lost)
    assert workspaces.keep(session.pk) is None
    assert workspaces.is_due(session.pk)
