"""The progress of a session as the API gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agents.models import Workspace
from sessions.progress import progress
from tests.sessions.harness.test_loop import ask, keeper, say  # noqa: F401  the fixture
from tests.sessions.rows import make_session

if TYPE_CHECKING:
    from sessions.harness.lease import Keeper

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_tells_turns_time_and_money_and_is_read_on_from_where_it_was() -> None:
    session, thread = make_session()
    ask(session, thread, "hello")
    first: dict[str, Any] = progress(session)
    assert [(turn["task"], turn["stop_reason"]) for turn in first["turns"]] == [("hello", "end_turn")]
    assert first["current"] == []
    assert first["queue_place"] is None
    ask(session, thread, "again")
    assert [turn["task"] for turn in progress(session)["turns"]] == ["hello", "again"]


def test_a_session_that_waits_its_turn_knows_its_place(keeper: Keeper) -> None:  # noqa: F811
    session, thread = make_session()
    other, running = make_session()
    type(other).objects.filter(pk=other.pk).update(workspace=session.workspace)
    other.refresh_from_db()
    Workspace.objects.filter(pk=session.workspace_id).update(limits={"concurrent_sessions": 1})
    say(other, "hello")
    say(session, "hello")
    assert keeper.claim(running.pk) is not None
    assert keeper.claim(thread.pk) is None
    session.refresh_from_db()
    assert progress(session)["queue_place"] == 1
