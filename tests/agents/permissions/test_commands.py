"""A shell command is taken apart into what it would run, or called unclear; it is never guessed."""

from __future__ import annotations

import pytest

from agents.commands import UNKNOWN, Command, Unclear, commands


def lines(text: str) -> list[str]:
    return [command.line for command in commands(text)]


@pytest.mark.parametrize(
    ("text", "run"),
    [
        ("ls -la", ["ls -la"]),
        ("ls; rm -rf /", ["ls", "rm -rf /"]),
        ("ls && git status | head || true & id", ["ls", "git status", "head", "true", "id"]),
        ("ls\nrm x", ["ls", "rm x"]),
        ("ls \\\n -a", ["ls -a"]),
        ("ls # ; rm -rf /", ["ls"]),
        ("git log --format='%H;rm'", ["git log --format=%H;rm"]),
        ("(cd /tmp; ls)", ["cd /tmp", "ls"]),
        ("if true; then rm x; fi", ["true", "rm x"]),
        ("{ ls; }", ["ls"]),
        ("r\\m x", ["rm x"]),
        ("'rm' x", ["rm x"]),
        ("! rm x", ["rm x"]),
        ("echo hi |& tee x", ["echo hi", "tee x"]),
        ("ls $(rm -rf /)", ["rm -rf /", f"ls {UNKNOWN}"]),
        ("ls `rm -rf /`", ["rm -rf /", f"ls {UNKNOWN}"]),
        ('echo "a $(rm y) b"', ["rm y", f"echo a {UNKNOWN} b"]),
        ("echo $x ${y:-z} *.py", [f"echo {UNKNOWN} {UNKNOWN} {UNKNOWN}.py"]),
        ("bash -c 'rm -rf /'", ["bash -c rm -rf /", "rm -rf /"]),
        ("eval 'rm x'", ["eval rm x", "rm x"]),
        ("time -p rm x", ["time -p rm x"]),
    ],
)
def test_every_command_that_would_run_is_found(text: str, run: list[str]) -> None:
    assert lines(text) == run


@pytest.mark.parametrize(
    "text",
    [
        "$CMD x",
        "{rm,-rf,/}",
        "cat <<EOF\nhi\nEOF",
        "f() { rm; }",
        "for i in a; do rm; done",
        "[[ -n $x ]]",
        "echo $'a'",
        "echo ${x:-$(rm)}",
        "echo ${x@P}",
        "echo ${x:=y}",
        "echo ${x[$(rm)]}",
        "echo $((1+1))",
        "diff <(ls) x",
        'ls "open',
        "ls 'open",
        "ls $(open",
        "ls )",
        "true;;",
        'bash -c "ls $X"',
        "x" * 200_000,
        "(" * 500,
    ],
)
def test_what_is_not_understood_is_unclear(text: str) -> None:
    with pytest.raises(Unclear):
        commands(text)


@pytest.mark.parametrize(
    "text", ["ls > out", "ls &> f", "LD_PRELOAD=x ls", "printf -v 'a[$(rm x)]' y", "ls </dev/tcp/a/1"]
)
def test_a_command_that_does_more_than_it_says_is_not_plain(text: str) -> None:
    assert not all(command.plain for command in commands(text))


@pytest.mark.parametrize("text", ["ls 2>&1", "ls >/dev/null 2>&1", "wc < notes.txt"])
def test_harmless_redirections_leave_a_command_plain(text: str) -> None:
    assert all(command.plain for command in commands(text))


def test_a_variable_set_for_good_is_a_command_of_its_own() -> None:
    assert commands("PATH=/tmp") == [Command((), plain=False)]
