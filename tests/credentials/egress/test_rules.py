"""Which hosts pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credentials.egress import rules
from credentials.egress.rules import BadHost, Networking, decide, matches, normalised

labels = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=2, max_size=4).map(".".join).filter(lambda name: not rules.is_address(name))


@given(names)
def test_a_host_matches_itself_in_any_case_and_with_a_dot_at_the_end(name: str) -> None:
    assert matches(name, name)
    assert matches(name.upper(), normalised(name.upper() + "."))


@given(names, st.lists(labels, min_size=1, max_size=3))
def test_a_wildcard_matches_every_depth_below_but_not_the_apex(name: str, below: list[str]) -> None:
    assert matches(f"*.{name}", ".".join([*below, name]))
    assert not matches(f"*.{name}", name)


@given(names, labels)
def test_a_wildcard_does_not_match_a_name_that_only_ends_alike(name: str, label: str) -> None:
    assert not matches(f"*.{name}", label + name)
    assert not matches(name, f"{label}.{name}")
    assert not matches(name, f"{name}.{label}")


@given(st.ip_addresses())
def test_a_wildcard_never_matches_an_address(address: object) -> None:
    host = normalised(str(address))
    assert not matches("*." + host.rpartition(".")[2], host)
    assert matches(host, host)


@given(names, st.sets(names, max_size=5))
def test_a_limited_environment_refuses_what_it_does_not_list(name: str, listed: set[str]) -> None:
    networking = Networking("limited", tuple(sorted(listed)))
    assert decide(networking, name, ()).allowed == (name in listed)


@given(names)
def test_an_unrestricted_environment_allows_every_name(name: str) -> None:
    assert decide(Networking("unrestricted"), name, ()).allowed


def test_package_hosts_pass_only_where_the_environment_says_so() -> None:
    asked = ("packages.example.test", ["packages.example.test"])
    assert decide(Networking("limited", package_managers=True), *asked).rule == "allow_package_managers"
    assert not decide(Networking("limited"), *asked).allowed


def test_mcp_hosts_pass_only_if_they_were_let_in() -> None:
    assert decide(Networking("limited", mcp_hosts=("mcp.example.test",)), "mcp.example.test", ()).allowed


def test_the_verdict_names_the_entry_that_allowed_it() -> None:
    networking = Networking("limited", ("a.example.test", "*.example.test"))
    assert decide(networking, "b.example.test", ()).rule == "allowed_hosts: *.example.test"


@pytest.mark.parametrize("host", ["", "a b", "a/b", "exämple.test", "-a.test", "a..b", "a:1", "*.a.test"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(BadHost):
        normalised(host)


def test_addresses_are_compared_in_their_short_form() -> None:
    assert normalised("[0:0:0::1]") == "::1"
