"""Forks through the SDK: what they begin with, at an event in the middle and at one of another agent's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from anthropic import BadRequestError

from tests.sdk.talk import TOOLSET, Talk, all_of, last_words, only, said, text, types

if TYPE_CHECKING:
    import anthropic

RULES = [{"effect": "deny", "tool": "bash", "command_prefix": "rm"}]


def fork(talk: Talk, **body: Any) -> Talk:
    made: Any = talk.client.post(f"/v1/x/sessions/{talk.id}/fork", cast_to=object, body=body)
    return Talk(talk.client, made["id"])


def test_a_fork_in_the_middle_has_what_its_origin_was_started_with_and_goes_on_from_there(
    client: anthropic.Anthropic,
) -> None:
    store = client.beta.memory_stores.create(name="Forked notes")
    attached: Any = [{"type": "memory_store", "memory_store_id": store.id, "access": "read_only"}]
    ours = {"holdfast": {"limits": {"steps": 90}, "permission_rules": RULES}}
    started: Any = {
        "type": "agent_with_overrides",
        "system": "Be brief.",
        "tools": [{"type": TOOLSET}],
    }
    agent = client.beta.agents.create(name="Forked", model="demo")
    environment = next(iter(client.beta.environments.list()))
    talk = Talk(
        client,
        client.beta.sessions.create(
            agent=started | {"id": agent.id},
            environment_id=environment.id,
            metadata={"team": "night"},
            resources=attached,
            extra_body=ours,
        ).id,
    )
    talk.says("Say `one`.")
    first = all_of(talk.log(), "agent.message")[-1]
    talk.says("Say `two`.")
    child = fork(talk, at=first.id)
    begun, origin = child.retrieve(), talk.retrieve()
    assert begun.agent == origin.agent
    assert (begun.metadata, begun.holdfast["permission_rules"]) == ({"team": "night"}, RULES)
    assert [(one.memory_store_id, one.access, one.mount_path) for one in begun.resources] == [
        (one.memory_store_id, one.access, one.mount_path) for one in origin.resources
    ]
    limits: Any = client.get(f"/v1/x/sessions/{child.id}/limits", cast_to=object)
    assert limits["levels"]["session"] == {"steps": 90}
    assert [said(event) for event in all_of(child.log(), "agent.message")] == ["one"]
    events = child.says("Run `rm -rf /mnt/session/outputs/x`.")
    assert only(events, "agent.tool_use").evaluated_permission == "deny"
    client.beta.memory_stores.archive(store.id)
    with pytest.raises(BadRequestError, match=f"Memory store {store.id} is archived and can't be attached"):
        fork(talk)
    assert not fork(talk, leave_out=[store.id]).retrieve().resources


def test_a_fork_at_an_event_of_another_agent_knows_what_had_been_heard_of_it_by_then(
    client: anthropic.Anthropic,
) -> None:
    alpha = client.beta.agents.create(name="alpha", model="demo")
    roster: Any = {"type": "coordinator", "agents": [alpha.id]}
    lead = client.beta.agents.create(name="Lead", model="demo", multiagent=roster)
    environment = next(iter(client.beta.environments.list()))
    talk = Talk(client, client.beta.sessions.create(agent=lead.id, environment_id=environment.id).id)
    thread = only(talk.says("Ask alpha to say `one`."), "session.thread_created").session_thread_id
    own = list(client.beta.sessions.threads.events.list(thread, session_id=talk.id))
    spoken = only(own, "agent.message")
    before = fork(talk, at=spoken.id)
    assert "agent.thread_message_received" not in types(before.log())
    assert said(all_of(before.log(), "user.message")[0]) == "Ask alpha to say `one`."
    after = fork(talk)
    assert said(only(after.log(), "agent.thread_message_received")) == "one"
    assert before.retrieve().agent.multiagent == talk.retrieve().agent.multiagent
    assert last_words(after.turn(text("Say `three`."))) == "three"
