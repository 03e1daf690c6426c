"""An agent reads its own log back, if it was given the tool for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agents import actions as agents
from contract.acting import Acting
from contract.roles import Role
from sessions import actions, log
from sessions import events as ev
from sessions.harness.hands import log as own_log
from tests.sessions.harness.test_loop import ask
from tests.sessions.rows import make_session

if TYPE_CHECKING:
    from sessions.models import Session

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


def reader() -> tuple[Session, Any]:
    """A session whose agent may read its log."""
    first, _ = make_session()
    admin = Acting(first.workspace_id, Role.ADMIN, "Ada")
    agents.update_agent(first.agent_id, {"holdfast": {"read_log": True}}, admin)
    session = actions.create_session({"agent": first.agent_id, "environment_id": first.environment_id}, admin)
    return session, session.threads.get()


def read(session: Session, thread: Any, **given: Any) -> list[tuple[int, dict[str, Any]]]:
    """The entries of one call, by number."""
    ask(session, thread, f"Use ant__read_log with {json.dumps(given)}.")
    result = [event for event in log.read(session.id) if event.type == ev.TOOL_RESULT][-1]
    assert not result.payload["is_error"], result.payload
    lines = result.payload["content"][0]["text"].splitlines()
    found = [line.partition(" ") for line in lines if line[0].isdigit()]
    return [(int(number), json.loads(entry)) for number, _, entry in found]


def test_entries_are_chosen_by_type_range_and_text() -> None:
    session, thread = reader()
    ask(session, thread, "The ROSE is red")
    ask(session, thread, "the violet is blue")
    by_type = read(session, thread, types=["user.message"])
    assert [entry["content"][0]["text"] for _, entry in by_type[:2]] == ["The ROSE is red", "the violet is blue"]
    ((number, entry),) = read(session, thread, text="rose is", types=["user.message"], before=by_type[1][0])
    assert (number, entry["type"]) == (by_type[0][0], "user.message")
    later = read(session, thread, after=number, types=["user.message"], limit=1)
    assert later[0][0] == by_type[1][0]
    last = read(session, thread, types=["user.message"], latest=True, limit=2)
    assert [number for number, _ in last] == sorted(number for number, _ in last)
    assert last[-1][0] > by_type[-1][0]


def test_nothing_that_clients_do_not_see_is_shown() -> None:
    session, thread = reader()
    ask(session, thread, "hello")
    found = read(session, thread, limit=50)
    assert found
    assert not [entry for _, entry in found if ev.is_ops(entry["type"]) or "private" in entry]


def test_the_answer_is_bounded_and_says_that_there_is_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_log, "ENTRY_CHARACTERS", 60)
    session, thread = reader()
    ask(session, thread, "x" * 500)
    ask(session, thread, 'Use ant__read_log with {"types": ["user.message"], "limit": 2}.')
    ask(session, thread, 'Use ant__read_log with {"limit": 2}.')
    results = [event.payload["content"][0]["text"] for event in log.read(session.id) if event.type == ev.TOOL_RESULT]
    assert "characters left out" in results[0]
    assert results[1].endswith("ask with after or before.")


def test_agents_do_not_have_the_tool_unless_asked_for() -> None:
    session, thread = make_session()
    ask(session, thread, "Use ant__read_log with {}.")
    assert not [
        event for event in log.read(session.id) if event.type == ev.TOOL_RESULT and not event.payload["is_error"]
    ]
