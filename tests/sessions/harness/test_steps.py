"""From one step to the next: the result of the last call and the mark of the next request are one commit."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from sessions import events as ev
from sessions import log
from sessions.harness.hands.log import LogHand
from sessions.verify import verify
from tests.sessions.harness.test_loop import ask, send
from tests.sessions.harness.test_read_log import reader

if TYPE_CHECKING:
    from agents.sandboxes.base import CallResult
    from sessions.harness.state import Call
    from sessions.models import Event, Session

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]

STEP = 'Use ant__read_log with {"limit": 1}.'


def after_the_result(session: Session) -> tuple[Event, Event]:
    """The result of the last call and the entry that follows."""
    return next(pair for pair in pairwise(log.read(session.id)) if pair[0].type == ev.TOOL_RESULT)


def meanwhile(monkeypatch: pytest.MonkeyPatch, session: Session, event: dict[str, object]) -> None:
    """Something else happens in the session while its call runs."""
    carry_out = LogHand.call

    def call(self: LogHand, call: Call, *, reattempt: bool) -> CallResult:
        send(session, event)
        connection.close()
        return carry_out(self, call, reattempt=reattempt)

    monkeypatch.setattr(LogHand, "call", call)


def test_the_mark_of_the_next_request_is_committed_with_the_result() -> None:
    session, thread = reader()
    ask(session, thread, STEP)
    result, following = after_the_result(session)
    assert following.type == ev.MODEL_START
    assert following.created_at == result.created_at  # an append has one time
    assert session.stop_reason == ev.END_TURN


def test_an_interrupt_that_came_during_the_call_keeps_the_model_from_being_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session, thread = reader()
    meanwhile(monkeypatch, session, {"type": ev.USER_INTERRUPT})
    kinds = ask(session, thread, STEP)
    assert kinds.count(ev.MODEL_START) == 1
    assert session.status == "idle"


def test_a_message_that_came_during_the_call_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    session, thread = reader()
    content = [{"type": "text", "text": "say `roses`"}]
    meanwhile(monkeypatch, session, {"type": ev.USER_MESSAGE, "content": content})
    ask(session, thread, STEP)
    last = [event for event in log.read(session.id) if event.type == ev.AGENT_MESSAGE][-1]
    assert "roses" in last.payload["content"][0]["text"]
    assert verify(session) == []
