"""Many agents in one session, through the SDK: parallel threads, a failure, a question, outcomes, workflows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.sdk.talk import TOOLSET, Talk, all_of, last_words, only, said, text, types, until, until_idle

if TYPE_CHECKING:
    from collections.abc import Callable

    import anthropic

    from tests.live import Installation

ASKING = {"type": TOOLSET, "default_config": {"enabled": True, "permission_policy": {"type": "always_ask"}}}
MEETING = "touch here.$RANDOM$RANDOM$RANDOM; until [ $(ls here.* | wc -l) -ge 5 ]; do sleep 0.05; done; echo met"


def use(tool: str, **given: Any) -> str:
    return f"Use ant__{tool} with {json.dumps(given)}."


@pytest.fixture
def lead(client: anthropic.Anthropic, begin: Callable[..., Talk]) -> Callable[..., Talk]:
    """Start a session whose agent leads ``worker``, who may do all, and ``careful``, who asks first."""

    def start(**options: Any) -> Talk:
        worker = client.beta.agents.create(name="worker", model="demo", tools=[{"type": TOOLSET}])
        careful = client.beta.agents.create(name="careful", model="demo", tools=[ASKING])  # type: ignore[list-item]
        members = {"type": "enabled", "predefined_agents": [worker.id, careful.id]}
        team = {"type": "multiagent_20261001", "subagents": members}
        return begin(agent={"multiagent": team}, **options)

    return start


def test_five_children_work_at_once_one_fails_one_asks_and_all_report(
    client: anthropic.Anthropic, lead: Callable[..., Talk]
) -> None:
    """Each of five waits until all five are there, in the sandbox that they share: one after another it would hang."""
    talk = lead()
    meet = [use("start_agent", agent="worker", message=f"Run `{MEETING}`") for _ in range(4)]
    asks = use("start_agent", agent="careful", message=f"Run `{MEETING}`")
    fails = use("start_agent", agent="worker", message="[[demo" + ": fail=400xall]]")
    fails = fails.replace("[[demo", "[\\u005bdemo")

    def answer(event: Any) -> None:
        if event.type == "agent.tool_use" and event.evaluated_permission == "ask":
            assert event.session_thread_id is not None
            (echo,) = talk.send({"type": "user.tool_confirmation", "tool_use_id": event.id, "result": "allow"})
            assert echo.session_thread_id == event.session_thread_id

    with talk.watching() as stream:
        talk.send(text(" ".join([*meet, asks, fails]) + " in parallel"))
        done = lambda event: event.type == "session.status_idle" and event.stop_reason.type == "end_turn"  # noqa: E731
        events = until(stream, done, answer)
    assert len(all_of(events, "session.thread_created")) == 6
    reports = all_of(events, "agent.thread_message_received")
    assert sorted(event.from_agent_name for event in reports) == ["careful", *["worker"] * 5]
    assert sum("met" in said(event) for event in reports) == 5
    assert sum(said(event).startswith("I failed") for event in reports) == 1
    assert last_words(events).count("``` met") == 5

    threads = list(client.beta.sessions.threads.list(talk.id))
    primary, *children = threads
    assert primary.parent_thread_id is None and {child.parent_thread_id for child in children} == {primary.id}
    assert sorted(child.status for child in children) == [*["idle"] * 5, "terminated"]
    spans = []
    for child in children:
        own = list(client.beta.sessions.threads.events.list(child.id, session_id=talk.id))
        uses, results = all_of(own, "agent.tool_use"), all_of(own, "agent.tool_result")
        assert all(event.session_thread_id is None for event in uses)
        if results:
            spans.append((uses[0].processed_at, results[0].processed_at))
    assert max(start for start, _ in spans) <= min(end for _, end in spans)


def test_a_childs_stream_shows_its_own_events_and_its_text_as_it_is_written(
    client: anthropic.Anthropic, lead: Callable[..., Talk]
) -> None:
    talk = lead()
    with talk.watching() as stream:
        talk.send(text("Ask worker to say `ready`."))
        created = until(stream, lambda event: event.type == "session.thread_created")[-1]
        until_idle(stream)
    child = created.session_thread_id
    deltas: list[Any] = ["agent.message"]
    with client.beta.sessions.threads.events.stream(child, session_id=talk.id, event_deltas=deltas) as own:
        talk.send(text("Ask worker to say `again`."))
        seen = until(iter(own), lambda event: event.type == "session.thread_status_idle")
    assert {"agent.thread_message_received", "event_start", "agent.message", "agent.thread_message_sent"} <= set(
        types(seen)
    )
    assert "session.status_idle" not in types(seen)
    archived = client.beta.sessions.threads.archive(child, session_id=talk.id)
    assert archived.status == "terminated" and archived.archived_at is not None


def test_an_inline_agent_shares_the_sandbox(client: anthropic.Anthropic, lead: Callable[..., Talk]) -> None:
    talk = lead()
    talk.says("Write plan.md with `the plan`.")
    definition = {"system": "You read.", "tools": ["read"]}
    events = talk.says(use("start_agent", agent="reader", message="Read plan.md", definition=definition))
    assert "the plan" in last_words(events)
    thread = list(client.beta.sessions.threads.list(talk.id))[-1]
    assert (thread.agent.type, thread.agent.name) == ("inline", "reader")


def test_an_outcome_goes_from_needs_revision_to_satisfied(
    client: anthropic.Anthropic, begin: Callable[..., Talk]
) -> None:
    talk = begin()
    outcome = {
        "type": "user.define_outcome",
        "description": "Write /mnt/session/outputs/poem.md with `roses are red`.",
        "rubric": {"type": "text", "content": "It rhymes. [[demo: rubric=needs_revisionx1]]"},
    }
    events = talk.turn(outcome)
    ends = all_of(events, "span.outcome_evaluation_end")
    assert [(end.iteration, end.result) for end in ends] == [(0, "needs_revision"), (1, "satisfied")]
    starts = all_of(events, "span.outcome_evaluation_start")
    assert [end.outcome_evaluation_start_id for end in ends] == [start.id for start in starts]
    assert events[-1].stop_reason.type == "end_turn"
    (entry,) = talk.retrieve().outcome_evaluations
    assert (entry.result, entry.iteration) == ("satisfied", 1)
    assert entry.completed_at is not None
    assert [file.filename for file in client.beta.files.list(scope_id=talk.id)] == ["poem.md"]


def test_an_outcome_ends_after_its_last_iteration_or_by_an_interrupt(begin: Callable[..., Talk]) -> None:
    talk = begin()
    never = {"type": "text", "content": "[[demo: rubric=needs_revision]]"}
    wanted = {"type": "user.define_outcome", "description": "say `done`", "rubric": never, "max_iterations": 2}
    ends = all_of(talk.turn(wanted), "span.outcome_evaluation_end")
    assert [end.result for end in ends] == ["needs_revision", "max_iterations_reached"]
    with talk.watching() as stream:
        talk.send({**wanted, "description": "Run `sleep 600`."})
        until(stream, lambda event: event.type == "agent.tool_use")
        talk.send({"type": "user.interrupt"})
        end = only(until_idle(stream), "span.outcome_evaluation_end")
    assert (end.result, end.outcome_evaluation_start_id) == ("interrupted", "")


def test_a_workflow_of_two_hundred_agents_survives_the_death_of_its_worker(
    installation: Installation, client: anthropic.Anthropic, lead: Callable[..., Talk]
) -> None:
    talk = lead(tools=[])
    plan = {
        "name": "Count",
        "phases": [
            {"name": "each", "prompt": "say `{{index}}`", "count": 200},
            {"name": "all", "prompt": "say `summed`"},
        ],
    }
    with talk.watching() as stream:
        talk.send(text(use("run_workflow", **plan)))
        until(stream, lambda event: event.type == "session.thread_created")
        installation.kill("worker")
        events = until_idle(stream)
    (ended,) = all_of(events, "workflow_run.status_ended")
    assert ended.result.type == "completed"
    log = talk.log()
    phases = [event.type for event in log if event.type.startswith("workflow_run.phase")]
    assert phases == ["workflow_run.phase_started", "workflow_run.phase_ended"] * 2
    created = [event for event in log if event.type == "session.thread_created"]
    assert len(created) == len({event.session_thread_id for event in created}) == 201
    assert {event.workflow_run_id for event in created} == {ended.workflow_run_id}
