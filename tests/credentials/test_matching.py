"""When two addresses name one server (spec advanced 1.6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credentials.matching import BadUrl, normalised, server_slot, slot, variable_slot

BASE = "https://mcp.example.com/mcp"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (BASE, BASE),
        ("HTTPS://MCP.Example.COM/mcp", BASE),
        ("https://mcp.example.com:443/mcp", BASE),
        ("https://mcp.example.com/mcp/", BASE),
        ("https://mcp.example.com:8443/mcp", "https://mcp.example.com:8443/mcp"),
        ("http://mcp.example.com:80", "http://mcp.example.com"),
        ("http://mcp.example.com:443/", "http://mcp.example.com:443"),
        ("https://mcp.example.com/MCP", "https://mcp.example.com/MCP"),
        ("https://mcp.example.com/mcp?b=2&a=1", "https://mcp.example.com/mcp?b=2&a=1"),
        ("https://[2001:DB8::1]:443/x", "https://[2001:db8::1]/x"),
    ],
)
def test_what_does_not_matter_is_taken_out(url: str, expected: str) -> None:
    assert normalised(url) == expected


@given(
    host=st.from_regex(r"[a-zA-Z]{1,9}\.[a-z]{2,3}", fullmatch=True),
    path=st.from_regex("(/[a-zA-Z0-9]+)*", fullmatch=True),
)
def test_normalising_twice_changes_nothing_more(host: str, path: str) -> None:
    once = normalised(f"https://{host}{path}")
    assert normalised(once) == once


@pytest.mark.parametrize(
    "url", ["", "mcp.example", "ftp://a.example", "https://u@a.example", "https://a.example#f", "https:///x"]
)
def test_what_names_no_server_is_refused(url: str) -> None:
    with pytest.raises(BadUrl):
        normalised(url)


def test_a_server_and_a_variable_never_share_a_slot() -> None:
    assert slot({"type": "mcp_oauth", "mcp_server_url": BASE + "/"}) == server_slot(BASE)
    assert slot({"type": "environment_variable", "secret_name": BASE}) == variable_slot(BASE) != server_slot(BASE)
