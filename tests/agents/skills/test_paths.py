"""Paths inside a skill."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.skills import paths
from contract.errors import InvalidRequest


@pytest.mark.parametrize(
    ("sent", "kept"), [("a/b.txt", "a/b.txt"), ("./a//b", "a/b"), ("a b/é.md", "a b/é.md"), ("a/..b", "a/..b")]
)
def test_plain_paths_are_kept(sent: str, kept: str) -> None:
    assert paths.checked(sent) == kept


@pytest.mark.parametrize(
    "sent",
    [
        "", ".", "/etc/passwd", "//a", "../a", "a/../../b", "a/..", "C:/a", "C:\\a", "a\\..\\b", "a\nb", "a\x00b",
        "\u2028", "\ud800", "x" * 256, "/".join("a" * 21), "é" * 128, "/".join(["a" * 200] * 3),
    ],
)  # fmt: skip
def test_paths_that_escape_or_mislead_are_refused(sent: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^files: "):
        paths.checked(sent)


@given(st.text(max_size=60))
def test_a_path_that_passes_stays_inside_and_passes_again(sent: str) -> None:
    try:
        kept = paths.checked(sent)
    except InvalidRequest:
        return
    assert not kept.startswith("/")
    assert ".." not in kept.split("/")
    assert paths.checked(kept) == kept


@pytest.mark.parametrize(
    "found", [["a", "a"], ["README.md", "readme.md"], ["\u00e9", "e\u0301"], ["a", "a/b"], ["x/A", "x/a/b/c"]]
)
def test_files_that_would_lie_on_each_other_are_refused(found: list[str]) -> None:
    with pytest.raises(InvalidRequest, match=r"^files: "):
        paths.check_apart(found)
    with pytest.raises(InvalidRequest, match=r"^files: "):
        paths.check_apart(found[::-1])


def test_the_root_is_the_upload_or_its_only_directory() -> None:
    assert paths.root_of(["SKILL.md", "a/b"], "SKILL.md") == ""
    assert paths.root_of(["s/SKILL.md", "s/a/b"], "SKILL.md") == "s"


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ([], "SKILL.md"),
        (["a"], "SKILL.md"),
        (["s/skill.md"], "SKILL.md"),
        (["s/t/SKILL.md"], "SKILL.md"),
        (["s/SKILL.md", "t/x"], "one top-level directory; there are s, t"),
        (["s/SKILL.md", "x"], "one top-level directory; there are s, x"),
    ],
)
def test_uploads_without_one_root_are_refused(found: list[str], why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        paths.root_of(found, "SKILL.md")
