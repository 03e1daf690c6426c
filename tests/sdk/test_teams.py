"""Agents that call on each other, runs of workflows, and outcomes that are graded, through the SDK alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.live import wait_for
from tests.sdk.talk import PATIENCE_SECONDS, TOOLSET, Talk, all_of, logged, only, said, types, until_idle

if TYPE_CHECKING:
    from collections.abc import Callable

    import anthropic


@pytest.mark.proves("session.thread_created", "agent.thread_message_sent", "agent.thread_message_received")
def test_an_agent_starts_another_and_hears_from_it(client: anthropic.Anthropic) -> None:
    alpha = client.beta.agents.create(name="alpha", model="demo")
    roster: Any = {"type": "coordinator", "agents": [alpha.id]}
    lead = client.beta.agents.create(name="Lead", model="demo", multiagent=roster)
    environment = next(iter(client.beta.environments.list()))
    talk = Talk(client, client.beta.sessions.create(agent=lead.id, environment_id=environment.id).id)
    events = talk.says("Ask alpha to say `one`.")
    created = only(events, "session.thread_created")
    assert created.agent_name == "alpha"
    assert only(events, "agent.thread_message_sent").to_session_thread_id == created.session_thread_id
    heard = only(talk.log(), "agent.thread_message_received")
    assert heard.id in {event.id for event in logged(events)}
    assert (heard.from_session_thread_id, said(heard)) == (created.session_thread_id, "one")
    child = client.beta.sessions.threads.retrieve(created.session_thread_id, session_id=talk.id)
    assert (child.status, child.parent_thread_id is None) == ("idle", False)
    own = list(client.beta.sessions.threads.events.list(child.id, session_id=talk.id))
    assert all_of(own, "agent.message")
    assert client.beta.sessions.threads.archive(child.id, session_id=talk.id).status == "terminated"


RUN_ENDED = "workflow_run.status_ended"


@pytest.mark.proves("workflow_run.created", "workflow_run.status_running", "workflow_run.status_idle")
@pytest.mark.proves("workflow_run.phase_started", "workflow_run.phase_ended")
@pytest.mark.proves("workflow_run.error", "workflow_run.status_ended")
def test_a_run_pauses_at_a_cap_goes_on_when_it_is_lifted_and_says_why_it_failed(client: anthropic.Anthropic) -> None:
    enabled: Any = {
        "type": "multiagent_20261001",
        "workflows": {"type": "enabled", "inline_agents": {"type": "enabled"}},
    }
    lead = client.beta.agents.create(name="Lead", model="demo", multiagent=enabled)
    environment = next(iter(client.beta.environments.list()))
    capped = {"holdfast": {"limits": {"model_requests": 2}}}
    made = client.beta.sessions.create(agent=lead.id, environment_id=environment.id, extra_body=capped)
    talk = Talk(client, made.id)
    failing = {"name": "look", "prompt": "[[{{item}}", "items": ["demo: fail=400xall]]"], "stop_on_error": True}
    plan = {"name": "Survey", "phases": [{"name": "find", "prompt": "say `x`", "count": 2}, failing]}
    told = talk.says(f"Use ant__run_workflow with {json.dumps(plan)}.")
    created, paused = only(told, "workflow_run.created"), only(told, "workflow_run.status_idle")
    assert (created.name, [phase.name for phase in created.phases]) == ("Survey", ["find", "look"])
    assert paused.workflow_run_id == created.workflow_run_id
    client.beta.sessions.update(talk.id, extra_body={"holdfast": {"limits": {"model_requests": None}}})
    wait_for(lambda: all_of(talk.log(), RUN_ENDED), PATIENCE_SECONDS, lambda: f"not ended: {types(talk.log())}")
    events = talk.log()
    assert len(all_of(events, "workflow_run.status_running")) == 2
    phases = [event.workflow_run_phase_id for event in all_of(events, "workflow_run.phase_started")]
    assert phases == [phase.id for phase in created.phases]
    assert [event.workflow_run_phase_id for event in all_of(events, "workflow_run.phase_ended")] == phases
    failed, ended = only(events, "workflow_run.error"), only(events, RUN_ENDED)
    assert (failed.error.type, ended.result.error) == ("program_error", failed.error)


@pytest.mark.proves("user.define_outcome", "send user.define_outcome", "span.outcome_evaluation_start")
@pytest.mark.proves("span.outcome_evaluation_end")
def test_an_outcome_is_worked_for_and_graded(begin: Callable[..., Talk]) -> None:
    talk = begin(tools=[{"type": TOOLSET}])
    rubric = {"type": "text", "content": "The file is there."}
    task = {"type": "user.define_outcome", "description": "Write notes.md with `hello`.", "rubric": rubric}
    with talk.watching() as stream:
        (echo,) = talk.send({**task, "max_iterations": 1})
        events = until_idle(stream)
    assert echo.outcome_id.startswith("outc_")
    started, ended = (only(events, f"span.outcome_evaluation_{what}") for what in ("start", "end"))
    assert (started.outcome_id, started.iteration) == (echo.outcome_id, 0)
    assert ended.outcome_evaluation_start_id == started.id
    (entry,) = talk.retrieve().outcome_evaluations
    assert (entry.outcome_id, entry.result) == (echo.outcome_id, ended.result)
