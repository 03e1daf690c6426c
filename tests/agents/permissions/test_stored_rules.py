"""Rules that an earlier version stored and this one refuses: they load, never loosen, and say so."""

from __future__ import annotations

from typing import Any

import pytest

from agents import policies, rules
from agents.policies import Grant
from agents.stored_rules import fault, readable
from contract.schema import OURS

REFUSED: list[tuple[Any, str, str]] = [
    ({"effect": "deny", "tool": "read", "command": "rm *"}, "read", "ask"),
    ({"effect": "ask", "tool": "bash", "path": "/etc/**"}, "bash", "ask"),
    ({"effect": "allow", "tool": "read", "command": "ls"}, "read", ""),
    ({"effect": "deny", "mcp_server": "crm", "command": "x"}, "", "ask"),
    ({"effect": "forbid", "tool": "bash"}, "bash", "ask"),
    ({"effect": "deny", "tool": 5}, "bash", "ask"),
    ("deny everything", "bash", "ask"),
]


@pytest.mark.parametrize(("stored", "tool", "effect"), REFUSED)
def test_a_rule_that_can_not_be_read_asks_about_its_tool_and_allows_nothing(
    stored: Any, tool: str, effect: str
) -> None:
    keeping = {"effect": "deny", "tool": "web_fetch"}
    loaded = readable([stored, keeping])
    assert len(loaded) == 2, "later rules keep their numbers"
    request = rules.Request(tool or "lookup", {"command": "ls", "file_path": "/a"}, None if tool else "crm")
    found = rules.find(loaded, request)
    assert (found.effect if found else "") == effect
    assert loaded[1].stored() == keeping
    said = fault(stored)
    assert said.startswith("This version can't read the rule (")
    assert ("asks about every call of" in said) is (effect == "ask")


def test_a_rule_that_can_be_read_is_as_it_was() -> None:
    rule = {"effect": "deny", "tool": "bash", "command": "rm *"}
    assert (readable([rule])[0].stored(), fault(rule)) == (rule, "")


def test_a_call_is_judged_and_a_person_asked_where_a_policy_would_let_it_run() -> None:
    spec = {OURS: {"permission_rules": [REFUSED[0][0]]}}
    book = policies.rulebook(spec)
    verdict = policies.judge(rules.Request("read", {"file_path": "/a"}), Grant("read", "always_allow"), book)
    assert verdict.evaluated_permission == "ask"
    remembered = policies.with_session(book, [], [{"effect": "allow", "tool": "read", "command": "x"}])
    verdict = policies.judge(rules.Request("read", {"file_path": "/a"}), Grant("read", "always_allow"), remembered)
    assert verdict.evaluated_permission == "ask"
