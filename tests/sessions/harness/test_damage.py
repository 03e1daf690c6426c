"""Turns of sessions whose rows nobody can read: what the log has is repaired, the rest is named and waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db.models import F

from contract.errors import InvalidRequest
from sessions import actions
from sessions import events as ev
from sessions.harness import runner
from sessions.models import Event, Session, Thread
from sessions.repair import repair_unknown
from sessions.verify import verify
from tests.sessions.damage import CASES, OF, damage, without_checks
from tests.sessions.harness.test_loop import say
from tests.sessions.rows import acting, make_session

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker", "unchecked")]

SETTINGS = {"agent_snapshot", "metadata", "vault_ids", "limits", "permission_rules", "remembered_rules", "agent"}


@pytest.fixture
def unchecked(transactional_db: None) -> Iterator[None]:
    with without_checks():
        yield


def turn(session: Session, thread: Thread) -> None:
    """As often as a wake-up would come."""
    for _ in range(4):
        runner.run(thread.pk)
    session.refresh_from_db()
    assert session.status == "idle"


@pytest.mark.parametrize(("table", "column"), [case for case in CASES if case[1] not in SETTINGS | {"budget"}])
def test_what_the_log_has_is_repaired_and_the_turn_is_done(table: str, column: str) -> None:
    session, thread = make_session()
    for value in OF[table][column]:
        damage(table, session.pk if table == "session" else thread.pk, column, value)
        say(session, "hello")
        damage(table, session.pk if table == "session" else thread.pk, column, value)
        if column == "status":
            repair_unknown()  # as the sweeper does now and then: no worker takes such a thread
        turn(session, thread)
        assert session.stop_reason == ev.END_TURN, value
        assert verify(session) == []
    assert not Event.objects.filter(session=session, type=ev.OPS_PARKED).exists()
    assert Event.objects.filter(session=session, type=ev.OPS_REPAIRED).exists()


@pytest.mark.parametrize("when", ["at rest", "before its turn"])
@pytest.mark.parametrize("by", [5, -2])
def test_a_log_whose_end_was_set_by_hand_keeps_no_hole(when: str, by: int) -> None:
    session, thread = make_session()
    say(session, "hello")
    turn(session, thread)
    if when == "before its turn":
        say(session, "and again")
    Session.objects.filter(pk=session.pk).update(last_seq=F("last_seq") + by)
    if when == "at rest":
        say(session, "and again")
    turn(session, thread)
    assert session.stop_reason == ev.END_TURN
    assert verify(session) == []
    assert Event.objects.filter(session=session, type=ev.OPS_REPAIRED).exists()


@pytest.mark.parametrize("status", ["running", "rescheduling"])
def test_a_message_that_was_queued_behind_a_status_set_by_hand_is_read(status: str) -> None:
    session, thread = make_session()
    say(session, "hello")
    turn(session, thread)
    Thread.objects.filter(pk=thread.pk).update(status=status)
    say(session, "and now?")
    turn(session, thread)
    assert not Event.objects.filter(session=session, processed_at=None).exists()
    assert Event.objects.filter(session=session, type=ev.AGENT_MESSAGE).count() == 2
    assert session.stop_reason == ev.END_TURN
    assert verify(session) == []


@pytest.mark.parametrize(("table", "column"), [case for case in CASES if case[1] in SETTINGS])
def test_what_only_a_person_can_set_anew_is_named_and_the_session_rests(table: str, column: str) -> None:
    session, thread = make_session()
    row = session.pk if table == "session" else thread.pk
    sound = getattr(session if table == "session" else thread, column)
    for value in OF[table][column]:
        damage(table, row, column, value)
        say(session, "hello")
        turn(session, thread)
        assert session.stop_reason == ev.RETRIES_EXHAUSTED, value
        parked = Event.objects.filter(session=session, type=ev.OPS_PARKED).order_by("-seq")[0]
        assert f"as {column}." in parked.payload["reason"]
        assert any(f"{row}.{column} can't be read" in complaint for complaint in verify(session))
        damage(table, row, column, sound)  # set anew
        actions.retry_session(session.pk, acting(session.workspace))
        turn(session, thread)
        assert session.stop_reason == ev.END_TURN, value
        assert verify(session) == []


def test_a_budget_that_nobody_can_read_allows_nothing_until_it_is_set_anew() -> None:
    session, thread = make_session()
    for value in OF["session"]["budget"]:
        damage("session", session.pk, "budget", value)
        with pytest.raises(InvalidRequest, match="budget"):
            say(Session.objects.get(pk=session.pk), "hello")
        damage("session", session.pk, "budget", None)
        say(session, "hello")
        turn(session, thread)
        assert session.stop_reason == ev.END_TURN, value
