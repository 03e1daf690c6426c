"""Ordered rules by argument: the first that matches decides, and nothing slips past a rule for a command."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from agents.rules import Request, absolute, find, load, path_matches


def effect(rules: list[dict[str, Any]], tool: str, given: dict[str, Any], server: str | None = None) -> str | None:
    found = find(load(rules), Request(tool, given, server))
    return None if found is None else found.effect


def shell(rules: list[dict[str, Any]], command: str) -> str | None:
    return effect(rules, "bash", {"command": command})


LS = [{"effect": "allow", "tool": "bash", "command_prefix": "ls"}]
NO_RM = [{"effect": "deny", "tool": "bash", "command_prefix": "rm"}, {"effect": "allow", "tool": "bash"}]


@pytest.mark.parametrize("command", ["ls", "ls -la /tmp", "ls | ls", "ls; ls", "ls $HOME 2>&1", "'ls' *.py"])
def test_a_prefix_allows_its_own_command(command: str) -> None:
    assert shell(LS, command) == "allow"


@pytest.mark.parametrize(
    "command",
    [
        "ls; rm -rf /",
        "ls && rm -rf /",
        "ls | sh",
        "ls & rm x",
        "ls\nrm x",
        "ls $(rm -rf /)",
        "ls `rm -rf /`",
        'ls "$(rm -rf /)"',
        "ls > /etc/passwd",
        "LD_PRELOAD=./evil.so ls",
        "ls <(rm x)",
        "lsof",
        "/tmp/ls",
        "./ls",
        "$X ls",
        "ls ${x@P}",
        "ls; function ls { rm x; }",
        "",
    ],
)
def test_a_prefix_allows_nothing_that_hides_behind_it(command: str) -> None:
    assert shell(LS, command) != "allow"


@pytest.mark.parametrize(
    "command",
    [
        "rm x",
        "/bin/rm x",
        "true; rm x",
        "echo $(rm x)",
        "sudo -u root rm x",
        "xargs rm",
        "find . -exec rm {} \\;",
        "bash -c 'rm x'",
        "time -p rm x",
        "r\\m x",
        "if true; then rm x; fi",
    ],
)
def test_a_denied_command_is_found_wherever_it_stands(command: str) -> None:
    assert shell(NO_RM, command) == "deny"


@pytest.mark.parametrize("command", ["$X y", "for i in a; do rm $i; done", "cat <<EOF\nrm\nEOF", "eval $X",
                                     "echo 'rm x' | sh", "sh -e -s a < f", "cat f | /bin/bash -x"])  # fmt: skip
def test_a_person_is_asked_where_it_is_not_clear_whether_a_denied_command_runs(command: str) -> None:
    found = find(load(NO_RM), Request("bash", {"command": command}))
    assert found is not None
    assert (found.effect, found.unsure) == ("ask", True)


def test_a_shell_that_reads_its_script_hides_no_command_beside_it() -> None:
    assert shell(NO_RM, "rm x; cat f | sh") == "deny"
    assert shell([{"effect": "ask", "command_prefix": "git push"}], "cat f | sh") == "ask"
    assert shell([{"effect": "ask", "command": "*--force*"}], "cat f | sh") == "ask"
    assert shell([{"effect": "allow", "command_prefix": "sh"}], "sh < f") is None
    assert shell(NO_RM, "bash --version; bash script.sh") == "allow"


def test_the_first_rule_that_matches_decides() -> None:
    rules = [
        {"effect": "allow", "tool": "bash", "command_prefix": "git status"},
        {"effect": "ask", "tool": "bash", "command_prefix": "git"},
        {"effect": "deny", "tool": "bash"},
    ]
    assert shell(rules, "git status -s") == "allow"
    assert shell(rules, "git push") == "ask"
    assert shell(rules, "make") == "deny"
    assert shell(rules, "git status; make") == "deny"
    assert effect(rules, "read", {"file_path": "x"}) is None


def test_a_pattern_is_compared_with_one_whole_command() -> None:
    rules = [{"effect": "allow", "tool": "bash", "command": "npm run *"}]
    assert shell(rules, "npm run build") == "allow"
    assert shell(rules, "npm run build; rm x") is None
    assert shell(rules, "npm install") is None


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("/workspace/**", "/workspace/a/b.py", True),
        ("/workspace/**", "/workspace", True),
        ("/workspace/*.py", "/workspace/a.py", True),
        ("/workspace/*.py", "/workspace/a/b.py", False),
        ("/workspace/**/*.py", "/workspace/b.py", True),
        ("/workspace/**/test_*", "/workspace/a/b/test_x", True),
        ("/etc/**", "/workspace/../etc/passwd", True),
        ("/workspace/**", "/workspace/../etc/passwd", False),
        ("/workspace/**", "//etc/passwd", False),
        ("src/**", "src/a.py", True),
        ("**/*.pem", "/etc/a.pem", False),
        ("/**/*.pem", "/etc/a.pem", True),
        ("/**/*.pem", "a.pem", True),
    ],
)
def test_paths_are_compared_after_their_dots_are_gone(pattern: str, path: str, fits: bool) -> None:
    assert path_matches(absolute(path), absolute(pattern)) is fits
    rules = [{"effect": "deny", "path": pattern}]
    assert effect(rules, "write", {"file_path": path, "content": ""}) == ("deny" if fits else None)


def test_hosts_and_servers() -> None:
    rules = [
        {"effect": "allow", "host": "example.com"},
        {"effect": "ask", "host": "*.example.com"},
        {"effect": "allow", "mcp_server": "github", "tool": "get_*"},
        {"effect": "deny", "mcp_server": "*"},
    ]
    assert effect(rules, "web_fetch", {"url": "https://EXAMPLE.com./x"}) == "allow"
    assert effect(rules, "web_fetch", {"url": "https://a.example.com"}) == "ask"
    assert effect(rules, "web_fetch", {"url": "https://example.com.evil.org"}) is None
    assert effect(rules, "web_fetch", {"url": "https://example.com@evil.org"}) is None
    assert effect(rules, "get_issue", {}, "github") == "allow"
    assert effect(rules, "delete_issue", {}, "github") == "deny"
    assert effect(rules, "get_issue", {}) is None


def test_a_rule_for_a_built_in_tool_says_nothing_about_a_server_s_tool_of_that_name() -> None:
    assert effect([{"effect": "allow", "tool": "bash"}], "bash", {"command": "ls"}, "evil") is None


@pytest.mark.parametrize(
    "rule",
    [
        {"effect": "maybe"},
        {"effect": "allow", "tool": ""},
        {"effect": "allow", "colour": "red"},
        {"effect": "allow", "self_approval": False},
        {"effect": "deny", "expires_after_seconds": 60},
        {"effect": "ask", "on_expiry": "deny"},
        {"effect": "ask", "expires_after_seconds": 1},
        {"effect": "allow", "command": "a", "command_prefix": "a"},
        {"effect": "allow", "mcp_server": "a", "path": "/x"},
        {"effect": "allow", "host": "https://example.com"},
        {"effect": "deny", "tool": "bash", "path": "/etc/**"},
        {"effect": "ask", "tool": "re*", "command_prefix": "rm"},
        {"effect": "allow", "command_prefix": "  "},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        load([rule])
