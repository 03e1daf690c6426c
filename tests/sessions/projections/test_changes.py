"""What became of files: one diff a file, over all changes of it, and what isn't known is said."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sessions.projections.changes import changes, files

Call = tuple[int, str, dict[str, Any]]


def write(seq: int, path: str, content: str) -> Call:
    return seq, "write", {"file_path": path, "content": content}


def edit(seq: int, path: str, old: str, new: str) -> Call:
    return seq, "edit", {"file_path": path, "old_string": old, "new_string": new}


def test_a_file_that_changed_several_times_has_one_diff_and_the_latest_comes_first() -> None:
    found = files([write(1, "a", "one\ntwo\n"), write(2, "b", "x"), edit(3, "a", "two", "three")], 100, 10)
    assert [one.path for one in found] == ["a", "b"]
    assert found[0].lines == ("@@ -0,0 +1,2 @@", "+ one", "+ three")
    assert (found[0].added, found[0].removed, found[0].known, found[0].seq) == (2, 0, True, 3)


def test_edits_of_a_file_that_was_there_before_show_their_own_lines() -> None:
    (found,) = files([edit(1, "a", "old", "new"), edit(2, "a", "this", "that")], 100, 10)
    assert (found.known, found.added, found.removed) == (False, 2, 2)
    later = changes([edit(1, "a", "old", "new"), write(2, "a", "whole\n")])
    assert [one.known for one in later] == [False, False]


def test_a_long_diff_is_cut_and_says_by_how_much() -> None:
    (found,) = files([write(1, "a", "\n".join(map(str, range(50))))], 10, 10)
    assert (len(found.lines), found.cut, found.added) == (10, 41, 50)
    assert files([write(n, str(n), "x") for n in range(5)], 10, 2)[-1].path == "3"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.text("xy\n", max_size=8)), max_size=12))
def test_the_same_calls_have_the_same_diffs_and_the_last_content_is_what_stands(made: list[tuple[str, str]]) -> None:
    calls = [write(seq, path, content) for seq, (path, content) in enumerate(made)]
    found = files(calls, 1000, 10)
    assert found == files(list(calls), 1000, 10)
    for one in found:
        last = [content for path, content in made if path == one.path][-1]
        assert [line[2:] for line in one.lines if line.startswith("+")] == last.splitlines()


def test_lines_that_begin_like_a_diffs_own_head_are_told() -> None:
    (found,) = files([write(1, "a.sql", "-- old\n++ x\n"), write(2, "a.sql", "-- new\n")], 100, 10)
    assert found.lines == ("@@ -0,0 +1 @@", "+ -- new")
    second = changes([write(1, "a.sql", "-- old\n"), write(2, "a.sql", "-- new\n")])[-1]
    assert second.lines == ("@@ -1 +1 @@", "- -- old", "+ -- new")
    assert (second.added, second.removed) == (1, 1)
