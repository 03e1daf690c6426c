"""Who may run now: places of a workspace and of a person, taken in turn; sessions stay where their sandbox is."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from agents.models import Workspace
from sessions import workspaces
from sessions.harness import admission, runner
from sessions.models import Machine, Session, Thread
from tests.sessions.harness.test_loop import say
from tests.sessions.rows import make_session

if TYPE_CHECKING:
    from sessions.harness.lease import Keeper

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


def started(people: list[str], limits: dict[str, Any]) -> list[Thread]:
    """Running sessions of one workspace, one for each name, in the order given."""
    users = {name: get_user_model().objects.create(username=name) for name in dict.fromkeys(people)}
    workspace: Workspace | None = None
    threads = []
    for name in people:
        session, thread = make_session()
        workspace = workspace or session.workspace
        Session.objects.filter(pk=session.pk).update(created_by=users[name], workspace=workspace)
        session.refresh_from_db()
        say(session, "hello")
        threads.append(thread)
    assert workspace is not None
    Workspace.objects.filter(pk=workspace.pk).update(limits=limits)
    return threads


def turn(threads: list[Thread]) -> list[int]:
    workspace_id = Session.objects.get(pk=threads[0].session_id).workspace_id
    places = {thread.pk: number for number, thread in enumerate(threads)}
    return [places[thread_id] for thread_id, _ in admission.waiting(workspace_id)]


def test_a_workspace_runs_as_many_as_it_may_and_the_next_when_one_rests(worker: Keeper) -> None:
    first, second, third = started(["ann", "ben", "cid"], {"concurrent_sessions": 2})
    lease = worker.claim(first.pk)
    assert lease is not None
    assert worker.claim(second.pk) is not None
    assert worker.claim(third.pk) is None
    assert admission.place(Session.objects.get(pk=third.session_id).workspace_id, third.session_id) == 1
    worker.release(lease, clean=True)
    assert worker.claim(third.pk) is not None


def test_a_person_has_a_limit_of_their_own(worker: Keeper) -> None:
    first, second, third = started(["ann", "ann", "ben"], {"concurrent_sessions_per_person": 1})
    assert worker.claim(first.pk) is not None
    assert worker.claim(second.pk) is None
    assert worker.claim(third.pk) is not None


def test_people_take_turns_however_many_sessions_one_has_waiting(worker: Keeper) -> None:
    threads = started(["ann", "ann", "ann", "ben", "cid"], {"concurrent_sessions": 1})
    assert turn(threads) == [0, 3, 4, 1, 2]
    assert worker.claim(threads[0].pk) is not None
    assert turn(threads) == [3, 4, 1, 2]


def test_without_a_limit_nobody_waits(worker: Keeper) -> None:
    threads = started(["ann"] * 4, {})
    assert all(worker.claim(thread.pk) for thread in threads)


def test_a_session_stays_with_its_machine_until_that_is_gone(worker: Keeper, settings: Any) -> None:
    settings.HOLDFAST_MACHINE = "here"
    (thread,) = started(["ann"], {})
    Session.objects.filter(pk=thread.session_id).update(machine="there")
    Machine.objects.create(name="there", seen_at=timezone.now())
    assert worker.claim(thread.pk) is None
    Machine.objects.update(seen_at=timezone.now() - timedelta(minutes=1))
    assert worker.claim(thread.pk) is not None


def test_a_wake_up_that_came_to_the_wrong_machine_is_passed_on(
    worker: Keeper,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "celery.current_app.send_task", lambda task, ids, queue="", **_: sent.append((task, queue)) if queue else None
    )
    settings.HOLDFAST_MACHINE = "here"
    (thread,) = started(["ann"], {})
    Session.objects.filter(pk=thread.session_id).update(machine="there")
    Machine.objects.create(name="there", seen_at=timezone.now())
    runner.run(thread.pk)
    assert sent == [("sessions.run_thread", f"{settings.HOLDFAST_AT_MACHINE}there")]
    assert admission.machines_alive() >= {"there"}


def test_a_machine_keeps_no_workspace_that_has_moved_elsewhere(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session, _ = make_session()
    Session.objects.filter(pk=session.pk).update(machine="there")
    monkeypatch.setattr(workspaces, "backend", lambda: pytest.fail("the sandbox here is an old one"))
    assert workspaces.keep(session.pk) is None


def test_a_machine_that_is_drained_goes_on_with_its_sessions_and_takes_no_others(
    worker: Keeper,
    settings: Any,
) -> None:
    mine, new = started(["ann", "ben"], {})
    Session.objects.filter(pk=mine.session_id).update(machine=settings.HOLDFAST_MACHINE)
    Machine.objects.update_or_create(
        name=settings.HOLDFAST_MACHINE, defaults={"seen_at": timezone.now(), "draining": True}
    )
    assert worker.claim(new.pk) is None
    assert worker.claim(mine.pk) is not None
    Machine.objects.update(draining=False)
    assert worker.claim(new.pk) is not None
