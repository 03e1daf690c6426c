"""A turn's start: it takes for granted what it has just read, while nobody touches the session, and asks little."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sessions import events as ev
from sessions import log
from sessions.events import Draft
from sessions.harness import runner
from sessions.harness.hands.base import Turn
from sessions.harness.hands.sandbox import SandboxHand
from sessions.harness.runner import Runner
from sessions.models import Session, Thread
from sessions.verify import verify
from tests.sessions.harness.test_loop import say
from tests.sessions.rows import make_session

if TYPE_CHECKING:
    from sessions.harness.lease import Keeper, Lease

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]

BUDGET = {"max_list_cost": {"amount": "100", "currency": "USD"}}


@pytest.fixture
def begun(worker: Keeper) -> Runner:
    """A turn that has read what it needs, and done nothing yet."""
    session, thread = make_session()
    say(session, "hello")
    lease = worker.claim(thread.pk)
    assert lease is not None
    made = Runner(lease)
    made._prepare()
    return made


def appended(lease: Lease) -> int:
    """How many statements the turn's next append takes."""
    with CaptureQueriesContext(connection) as queries:
        log.append(lease.session_id, lease.thread_id, [Draft(ev.MODEL_START)], lease=lease)
    return len(queries)


def test_a_turn_asks_few_questions() -> None:
    session, thread = make_session()
    say(session, "hello")
    runner.run(thread.pk)
    say(session, "again")
    with CaptureQueriesContext(connection) as queries:
        runner.run(thread.pk)
    assert len(queries) <= 20, [query["sql"] for query in queries]
    assert verify(Session.objects.get(pk=session.pk)) == []


def test_the_first_append_is_one_statement(begun: Runner) -> None:
    assert appended(begun.lease) == 1
    assert verify(Session.objects.get(pk=begun.lease.session_id)) == []


def test_what_others_changed_since_the_rows_were_read_stays(begun: Runner) -> None:
    session = Session.objects.get(pk=begun.lease.session_id)
    Session.objects.filter(pk=session.pk).update(budget=BUDGET)
    say(session, "one thing more")
    assert appended(begun.lease) > 1
    assert begun.lease.seen.budget == BUDGET
    session.refresh_from_db()
    assert session.budget == BUDGET
    assert verify(session) == []


def test_a_turn_that_was_taken_over_before_its_first_append_writes_nothing(begun: Runner) -> None:
    Thread.objects.filter(pk=begun.lease.thread_id).update(fence=begun.lease.fence + 1)
    with pytest.raises(log.LeaseLost):
        appended(begun.lease)


def settled(begun: Runner) -> Session:
    """The session of a turn that has noted where its sandbox is."""
    assert begun.effects is not None
    hand = SandboxHand(Turn(begun.effects.spec, begun.state, begun.lease))
    hand._settle(hand._session())
    return Session.objects.get(pk=begun.lease.session_id)


def test_an_append_after_the_sandbox_s_place_was_noted_is_one_statement(begun: Runner) -> None:
    session = settled(begun)
    assert session.machine
    assert session.sandbox_config == {"type": "cloud"}
    assert appended(begun.lease) == 1


def test_what_others_changed_before_the_sandbox_s_place_was_noted_stays(begun: Runner) -> None:
    Session.objects.filter(pk=begun.lease.session_id).update(budget=BUDGET, sandbox_config={"type": "other"})
    session = settled(begun)
    assert session.sandbox_config == {"type": "other"}
    assert appended(begun.lease) > 1
    assert begun.lease.seen.budget == BUDGET
