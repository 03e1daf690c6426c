"""The pure rules of memory paths: what is refused, what is rolled up, what a store's directory is called."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.memory import paths
from contract.errors import InvalidRequest

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SEGMENT = (
    st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"], exclude_characters="/"), min_size=1)
    .map(lambda text: unicodedata.normalize("NFC", text)[:12])
    .filter(lambda text: text not in ("", ".", "..") and "/" not in text and unicodedata.is_normalized("NFC", text))
)
PATH = st.lists(SEGMENT, min_size=1, max_size=6).map(lambda segments: "/" + "/".join(segments))


def is_allowed(path: str) -> bool:
    try:
        paths.check("path", path)
    except InvalidRequest:
        return False
    return True


@pytest.mark.parametrize(
    "path",
    [
        "/a",
        "/notes/todo.md",
        "/ leading and trailing ",
        "/...",
        "/.hidden",
        "/Ärger/日本語.md",
        "/" + "/".join("a" * 20),
        "/" + "x" * 1_023,
        "/" + "é" * 511,
        '/"quotes"\\backslash',
    ],
)
def test_a_good_path_passes_unchanged(path: str) -> None:
    assert paths.check("path", path) == path


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "slash"),
        ("a", "slash"),
        ("/", "empty segment"),
        ("/a/", "empty segment"),
        ("/a//b", "empty segment"),
        ("//a", "empty segment"),
        ("/a/./b", "segment . or .."),
        ("/..", "segment . or .."),
        ("/a/..", "segment . or .."),
        ("/" + "/".join("a" * 21), "segments"),
        ("/" + "x" * 1_024, "1024 bytes"),
        ("/" + "é" * 512, "1024 bytes"),
        ("/a\x00b", "control"),
        ("/a\nb", "control"),
        ("/a\x7fb", "control"),
        ("/a\u200bb", "control"),
        ("/a\u202eb", "control"),
        ("/a\u2028b", "control"),
        ("/a\u2029b", "control"),
        ("/a\ud800b", "control"),
        ("/e\u0301", "Normalization Form C"),
    ],
)
def test_a_bad_path_is_refused_with_its_reason(path: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason) as refused:
        paths.check("path", path)
    assert refused.value.message.startswith("path: ")


@pytest.mark.parametrize("prefix", ["/", "/notes/", "/a/b/c/"])
def test_a_prefix_ends_with_a_slash(prefix: str) -> None:
    assert paths.check_prefix("path_prefix", prefix) == prefix


@pytest.mark.parametrize("prefix", ["", "notes/", "/notes", "//", "/a//", "/../", "/a\x00/", "/e\u0301/"])
def test_other_prefixes_are_refused(prefix: str) -> None:
    with pytest.raises(InvalidRequest, match="path_prefix: "):
        paths.check_prefix("path_prefix", prefix)


@given(PATH)
def test_every_path_made_of_good_segments_is_allowed(path: str) -> None:
    assert is_allowed(path)
    assert all(is_allowed(ancestor) and path.startswith(f"{ancestor}/") for ancestor in paths.ancestors(path))


@given(TEXT)
def test_an_allowed_path_keeps_every_rule(text: str) -> None:
    if is_allowed(text):
        segments = text.split("/")[1:]
        assert text.startswith("/")
        assert 1 <= len(segments) <= 20
        assert not {"", ".", ".."} & set(segments)
        assert len(text.encode()) <= 1_024
        assert unicodedata.normalize("NFC", text) == text
        assert paths.check_prefix("path_prefix", f"{text}/") == f"{text}/"


@given(PATH, PATH)
def test_ancestors_are_exactly_the_paths_in_the_way(first: str, second: str) -> None:
    assert (first in paths.ancestors(second)) == second.startswith(f"{first}/")


@given(st.sets(PATH, max_size=20))
def test_one_level_names_each_child_once_in_order_and_hides_nothing(found: set[str]) -> None:
    in_order = sorted(found, key=lambda path: path.encode())
    entries = [entry.path for entry in paths.children(in_order, "/")]
    assert entries == sorted(set(entries), key=lambda path: path.encode())
    for path in found:
        assert (path in entries) or any(path.startswith(entry) for entry in entries if entry.endswith("/"))
    for entry in entries:
        assert entry in found or any(path.startswith(entry) for path in found)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Demo Memory", "demo-memory"),
        ("a  _ b", "a-b"),
        ("Über 9000!", "-ber-9000-"),
        ("日本", "-"),
        ("x" * 300, "x" * 255),
    ],
)
def test_the_directory_of_a_store_comes_from_its_name(name: str, expected: str) -> None:
    assert paths.slug(name) == expected


def test_equal_directories_are_numbered() -> None:
    assert paths.mount_names(["Notes", "notes!", "NOTES", "Notes-2"]) == ["notes", "notes-", "notes-2", "notes-2-2"]
    assert paths.mount_names(["x" * 300, "x" * 300])[1] == "x" * 253 + "-2"


@given(st.lists(st.text(min_size=1, max_size=5), max_size=8))
def test_directories_are_distinct_and_safe(names: list[str]) -> None:
    found = paths.mount_names(names)
    assert len(set(found)) == len(names)
    assert all(re.fullmatch("[a-z0-9-]+", name) for name in found)
