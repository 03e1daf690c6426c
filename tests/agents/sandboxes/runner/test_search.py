from __future__ import annotations

import sys
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from agents.sandboxes.runner import search, walk
from agents.sandboxes.runner.bare import Flag
from agents.sandboxes.runner.texts import Stopped, ToolError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def rg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in ripgrep's place that shows its arguments."""
    program = tmp_path / "bin" / "rg"
    program.parent.mkdir()
    monkeypatch.setattr(search, "TOOL_PATH", f"{program.parent}:/usr/bin:/bin")
    return program


def script(path: Path, text: str) -> None:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)


def test_ripgrep_is_used_where_it_is_installed(rg: Path, tmp_path: Path) -> None:
    script(rg, 'echo "$@"')
    assert search.grep(str(tmp_path), "-x") == f"--no-config -n -H --no-heading --color=never -e -x -- {tmp_path}"


def test_ripgreps_statuses_are_told_apart(rg: Path, tmp_path: Path) -> None:
    script(rg, "exit 1")
    assert search.grep(str(tmp_path), "x") == "no matches"
    script(rg, "echo regex parse error >&2; exit 2")
    with pytest.raises(ToolError, match="grep: rg failed: regex parse error"):
        search.grep(str(tmp_path), "(")
    script(rg, "echo f:1:x; echo f2: denied >&2; exit 2")
    assert search.grep(str(tmp_path), "x") == "f:1:x"


def test_a_pattern_that_backtracks_for_ever_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "GREP_SECONDS", 0.5)
    (tmp_path / "f").write_text("a" * 1000 + "b\n")
    with pytest.raises(ToolError, match="grep: timed out"):
        search.grep(str(tmp_path), "(a+)+$")


def test_an_interrupt_stops_a_search(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a" * 1000 + "b\n")
    stop = Flag()
    stop.set()
    with pytest.raises(Stopped):
        search.grep(str(tmp_path), "(a+)+$", stop=stop)


def test_binary_files_links_and_repositories_innards_are_left_out(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "f").write_text("hit\n")
    (tmp_path / "binary").write_bytes(b"hit\0\n")
    (tmp_path / "link").symlink_to(tmp_path / "text")
    (tmp_path / "text").write_bytes(b"no\nhit \xff\n" + b"hit" * 1000 + b"\n")
    assert search.grep(str(tmp_path), "hit") == f"{tmp_path}/text:2:hit \ufffd"


def test_newest_files_come_first_and_links_out_are_left_out(tmp_path: Path) -> None:
    import os

    base = tmp_path / "base"
    base.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.py").touch()
    (base / "out").symlink_to(tmp_path / "outside")
    for age, name in enumerate(("new.py", "old.py")):
        (base / name).touch()
        os.utime(base / name, (1000 - age, 1000 - age))
    assert search.glob(str(base), "**/*.py") == f"{base}/new.py\n{base}/old.py"
    assert search.glob(str(base), "out/*.py") == "no matches"
    with pytest.raises(ToolError, match="pattern"):
        search.glob(str(base), "a**b")


def test_a_pattern_search_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "walk_command", lambda pattern, target: [sys.executable, search.WALKER, "(", target])
    with pytest.raises(ToolError, match="search failed: error: missing"):
        search.grep(str(tmp_path), "hit")


def test_long_lines_are_counted_and_left_out() -> None:
    text = b"a\n" + b"b" * (3 * walk.MAX_LINE) + b"\n" + b"c" * walk.MAX_LINE + b"\nd"
    assert [(number, line[:1]) for number, line in walk.lines(BytesIO(text))] == [(1, b"a"), (3, b"c"), (4, b"d")]
