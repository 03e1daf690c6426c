"""Agents that call on each other, and outcomes that are graded, through the SDK alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sdk.talk import TOOLSET, Talk, all_of, logged, only, said, until_idle

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
