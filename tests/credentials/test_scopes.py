"""What a credential's scope permits, and how two lists of hosts meet."""

from __future__ import annotations

import pytest

from contract.errors import InvalidRequest
from credentials import scopes


def test_a_scope_that_names_nothing_limits_nothing() -> None:
    assert scopes.checked(None) == scopes.checked({"agents": None}) == {}
    assert scopes.excluded({}, agent="a", tool="t", host="h.example") is None


@pytest.mark.parametrize(
    ("use", "rule"),
    [
        ({"agent": "agent_2"}, "scope: agents does not hold agent_2"),
        ({"agent": "agent_1", "tool": "write"}, "scope: tools does not hold write"),
        ({"host": "example.com"}, "scope: hosts does not hold example.com"),
        ({"agent": "agent_1", "tool": "bash", "host": "api.example.com"}, None),
        ({}, None),
    ],
)
def test_the_rule_that_excludes_a_use_is_named(use: dict[str, str], rule: str | None) -> None:
    scope = {"agents": ["agent_1"], "tools": ["bash"], "hosts": ["*.example.com"]}
    assert scopes.excluded(scope, **use) == rule


def test_methods_are_kept_in_capitals_and_hosts_in_small_letters() -> None:
    assert scopes.checked({"methods": ["get"], "hosts": ["API.Example.com"]}) == {
        "hosts": ["api.example.com"],
        "methods": ["GET"],
    }


@pytest.mark.parametrize(
    "scope",
    [{"agents": []}, {"methods": ["FETCH"]}, {"hosts": ["https://x.example"]}, {"tools": ["a" * 256]}, {"tools": [""]}],
)
def test_a_scope_that_can_not_be_meant_is_refused_by_field(scope: dict[str, list[str]]) -> None:
    (field,) = scope
    with pytest.raises(InvalidRequest, match=f"holdfast.scope.{field}"):
        scopes.checked(scope)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (None, None, None),
        (None, ["a.example"], ("a.example",)),
        (["a.example", "b.example"], ["b.example"], ("b.example",)),
        (["*.example.com"], ["api.example.com"], ("api.example.com",)),
        (["*.eu.example.com"], ["*.example.com"], ("*.eu.example.com",)),
        (["a.example"], ["b.example"], ()),
    ],
)
def test_two_lists_of_hosts_meet_in_what_both_name(
    one: list[str] | None, other: list[str] | None, both: tuple[str, ...] | None
) -> None:
    assert scopes.narrowed(one, other) == scopes.narrowed(other, one) == both
