"""Approvals with the official client: found in the list of all sessions, changed, allowed, refused when too late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from tests.sdk.talk import TOOLSET, all_of, last_words, only, said, until_idle

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sdk.talk import Talk

RULES = [{"effect": "deny", "tool": "bash", "command_prefix": "rm"}]
ASKING: dict[str, Any] = {
    "tools": [{"type": TOOLSET, "default_config": {"permission_policy": {"type": "always_ask"}}}],
    "agent": {"extra_body": {"holdfast": {"permission_rules": RULES}}},
}


def waiting(talk: Talk) -> list[dict[str, Any]]:
    """What the inbox holds of this session."""
    query = {"state": "waiting"}
    found: Any = talk.client.get("/v1/x/approvals", cast_to=object, options={"params": query})
    return [one for one in found["data"] if one["session_id"] == talk.id]


def decide(talk: Talk, approval_id: str, **decision: Any) -> Any:
    return talk.client.post(f"/v1/x/approvals/{approval_id}/decide", cast_to=object, body=decision)


def test_a_call_is_asked_for_changed_and_runs_as_it_was_changed(begin: Callable[..., Talk]) -> None:
    talk = begin(**ASKING)
    use = only(talk.says("run `echo as asked`"), "agent.tool_use")
    (asked,) = waiting(talk)
    assert (asked["id"], asked["tool"], asked["input"]) == (use.id, "bash", {"command": "echo as asked"})

    with talk.watching() as stream:
        decided = decide(talk, use.id, result="allow", input={"command": "echo as $((6 * 7)) changed"})
        rest = until_idle(stream)
    assert (decided["state"], decided["edited_input"]) == ("allowed", {"command": "echo as $((6 * 7)) changed"})
    assert said(only(rest, "agent.tool_result")).strip() == "as 42 changed"
    assert "A person changed this call" in last_words(rest)
    assert waiting(talk) == []
    with pytest.raises(anthropic.ConflictError, match="has already been answered"):
        decide(talk, use.id, result="deny")


def test_a_change_that_a_rule_denies_or_the_tool_does_not_know_is_refused_and_the_call_waits_on(
    begin: Callable[..., Talk],
) -> None:
    talk = begin(**ASKING)
    use = only(talk.says("run `echo as asked`"), "agent.tool_use")
    with pytest.raises(anthropic.BadRequestError, match="rule 1 of the agent"):
        decide(talk, use.id, result="allow", input={"command": "rm -r /workspace"})
    with pytest.raises(anthropic.BadRequestError, match="cmd is not a field"):
        decide(talk, use.id, result="allow", input={"cmd": "echo"})
    assert [one["id"] for one in waiting(talk)] == [use.id]
    assert not all_of(talk.log(), "agent.tool_result")


def test_a_call_that_is_remembered_is_not_asked_for_again(begin: Callable[..., Talk]) -> None:
    talk = begin(**ASKING)
    use = only(talk.says("run `uname -s`"), "agent.tool_use")
    with talk.watching() as stream:
        decide(talk, use.id, result="allow", remember={"scope": "session"})
        until_idle(stream)
    again = talk.says("run `uname -s`")
    assert said(only(again, "agent.tool_result")).strip() == "Linux"
    assert again[-1].stop_reason.type == "end_turn"
