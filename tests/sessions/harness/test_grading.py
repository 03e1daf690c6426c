"""Outcomes that are graded, with the demo model and no sandbox."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from anthropic.types.beta.sessions import BetaManagedAgentsSpanOutcomeEvaluationOngoingEvent
from pydantic import TypeAdapter

from agents.providers.base import ModelReply, ModelRequest, OnPart, ProviderError, ShouldStop
from contract.errors import InvalidRequest
from sessions import events as ev
from sessions import files, outcomes
from sessions.harness import grading
from tests.sessions.harness.test_loop import Gossip
from tests.sessions.rows import acting, make_session
from tests.sessions.teams import entries, send, settle

if TYPE_CHECKING:
    from pathlib import Path

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


def outcome(rubric: dict[str, str]) -> dict[str, object]:
    return {"type": ev.USER_DEFINE_OUTCOME, "description": "say `hello`", "rubric": rubric}


def test_the_demo_says_that_it_graded_without_looking_unless_a_directive_gave_the_verdict() -> None:
    for rubric, why in (("It is polite.", "without looking"), ("[[demo: rubric=satisfied]]", "by a directive")):
        session, _ = make_session(tools=[])
        send(session, outcome({"type": "text", "content": rubric}))
        settle(session)
        (end,) = entries(session, ev.OUTCOME_END)
        assert end.payload["result"] == "satisfied"
        assert why in end.payload["explanation"]


def test_a_grader_that_answers_nonsense_fails_the_outcome_in_a_clear_sentence() -> None:
    session, _ = make_session(tools=[])
    send(session, outcome({"type": "text", "content": "[[demo: rubric=purple]]"}))
    settle(session)
    (end,) = entries(session, ev.OUTCOME_END)
    assert (end.payload["result"], end.payload["explanation"]) == ("failed", grading.NONSENSE)
    assert end.payload["usage"]["output_tokens"] > 0, "what the attempts used is told"
    assert session.stop_reason == ev.END_TURN
    assert session.outcomes[0]["result"] == "failed"


def test_a_grader_whose_server_is_overloaded_is_asked_again_like_any_model(settings: Any) -> None:
    settings.HOLDFAST_RETRY_BASE_SECONDS = 0.01
    session, _ = make_session(tools=[])
    send(session, outcome({"type": "text", "content": "It is polite. [[demo: fail=529x5]]"}))
    settle(session)
    (end,) = entries(session, ev.OUTCOME_END)
    assert end.payload["result"] == "satisfied"
    tries = [event.payload["attempt"] for event in entries(session, ev.OPS_RETRY)]
    assert tries == [2, 3, 4, 5, 6] * 2, "the turn's own request, then the grader's: each wait is on the timeline"
    errors = [event.payload["error"] for event in entries(session, ev.SESSION_ERROR)]
    assert {error["type"] for error in errors} == {"model_overloaded_error"}
    assert session.stop_reason == ev.END_TURN


class Overloaded(Gossip):
    """Works, and has too much to do whenever it should grade."""

    def stream(self, request: ModelRequest, on_part: OnPart, should_stop: ShouldStop) -> ModelReply:
        reply = super().stream(request, on_part, should_stop)
        if request.system == outcomes.GRADER_SYSTEM:
            raise ProviderError("overloaded", "Too much to do.", retryable=True)
        return reply


def test_a_grader_that_cannot_be_asked_in_the_end_fails_the_outcome(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.HOLDFAST_RETRY_BASE_SECONDS = 0.01
    overloaded = Overloaded(None)
    monkeypatch.setattr("sessions.harness.spec.provider", lambda *_: overloaded)
    session, _ = make_session(tools=[])
    send(session, outcome({"type": "text", "content": "It is polite."}))
    settle(session)
    (end,) = entries(session, ev.OUTCOME_END)
    assert (end.payload["result"], len(overloaded.requests)) == ("failed", 1 + 6)
    assert end.payload["explanation"] == "The grader could not be asked: Too much to do."
    assert session.stop_reason == ev.END_TURN


def test_a_rubric_comes_out_of_a_file(tmp_path: Path, settings: Any) -> None:
    settings.HOLDFAST_BLOB_DIR = tmp_path
    session, _ = make_session(tools=[])
    words = io.BytesIO(b"It rhymes. [[demo: rubric=needs_revisionx1]]")
    file = files.upload(words, filename="rubric.md", mime_type="text/markdown", acting=acting(session.workspace))
    send(session, outcome({"type": "file", "file_id": file.pk}))
    settle(session)
    assert [end.payload["result"] for end in entries(session, ev.OUTCOME_END)] == ["needs_revision", "satisfied"]


@pytest.mark.parametrize(("content", "why"), [(b"\xff\xfe", "is not UTF-8 text"), (b"  ", "1 to 262144 characters")])
def test_a_file_that_can_be_no_rubric_is_refused(tmp_path: Path, settings: Any, content: bytes, why: str) -> None:
    settings.HOLDFAST_BLOB_DIR = tmp_path
    session, _ = make_session(tools=[])
    who = acting(session.workspace)
    file = files.upload(io.BytesIO(content), filename="rubric.md", mime_type=None, acting=who)
    with pytest.raises(InvalidRequest, match=why):
        send(session, outcome({"type": "file", "file_id": file.pk}))
    assert entries(session, ev.USER_DEFINE_OUTCOME) == []
