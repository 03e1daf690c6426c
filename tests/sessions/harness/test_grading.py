"""Outcomes that are graded, with the demo model and no sandbox."""

from __future__ import annotations

import pytest
from anthropic.types.beta.sessions import BetaManagedAgentsSpanOutcomeEvaluationOngoingEvent
from pydantic import TypeAdapter

from sessions import events as ev
from sessions.harness import grading
from tests.sessions.rows import make_session
from tests.sessions.teams import entries, send, settle

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


@pytest.mark.proves("span.outcome_evaluation_ongoing")
def test_a_grader_that_takes_long_says_that_it_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grading, "HEARTBEAT_SECONDS", 0.0)
    session, _ = make_session(tools=[])
    rubric = {"type": "text", "content": "It is polite."}
    send(session, {"type": ev.USER_DEFINE_OUTCOME, "description": "say `hello`", "rubric": rubric})
    settle(session)
    spans = entries(session, ev.OUTCOME_START, ev.OUTCOME_ONGOING, ev.OUTCOME_END)
    assert (spans[0].type, spans[-1].type) == (ev.OUTCOME_START, ev.OUTCOME_END)
    beats = [event for event in spans if event.type == ev.OUTCOME_ONGOING]
    assert beats
    told = TypeAdapter(BetaManagedAgentsSpanOutcomeEvaluationOngoingEvent)
    for beat in beats:
        shown = told.validate_python(ev.wire(beat))
        assert (shown.outcome_id, shown.iteration) == (spans[0].payload["outcome_id"], 0)
