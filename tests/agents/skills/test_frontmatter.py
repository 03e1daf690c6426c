"""The head of a ``SKILL.md``: what names and descriptions may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.skills import frontmatter
from contract.errors import InvalidRequest


def head(text: str) -> bytes:
    return f"---\n{text}\n---\nbody\n".encode()


def refusal(data: bytes, directory: str = "") -> str:
    with pytest.raises(InvalidRequest) as caught:
        frontmatter.parse(data, directory=directory)
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "name", "description"),
    [
        ("name: pdf-forms\ndescription: Fills forms.", "pdf-forms", "Fills forms."),
        ("description: 'It: does'\nname: \"a1\"", "a1", "It: does"),
        ("name: a\ndescription: >\n  Two\n  lines.\nlicense: MIT\nmetadata: {x: [1]}", "a", "Two lines."),
        ("name: 2025\ndescription: yes", "2025", "yes"),
        ("name: a\ndescription: 2 < 3 and 4 > 1", "a", "2 < 3 and 4 > 1"),
    ],
)
def test_a_head_says_name_and_description_in_any_yaml_spelling(text: str, name: str, description: str) -> None:
    assert frontmatter.parse(head(text), directory="other") == frontmatter.Frontmatter(name, description)


def test_a_byte_order_mark_and_windows_line_ends_are_read() -> None:
    data = "\ufeff---\r\nname: a\r\ndescription: b\r\n---\r\n".encode()
    assert frontmatter.parse(data, directory="") == frontmatter.Frontmatter("a", "b")


def test_the_directory_names_a_skill_whose_head_does_not() -> None:
    assert frontmatter.parse(head("description: b"), directory="from-folder").name == "from-folder"
    assert "name" in refusal(head("description: b"))
    assert "lowercase" in refusal(head("description: b"), directory="From Folder")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("A", "lowercase"),
        ("a_b", "lowercase"),
        ("-a", "lowercase"),
        ("a--b", "lowercase"),
        ("a/b", "lowercase"),
        ("é", "lowercase"),
        ("<a>", "lowercase"),
        ("x" * 65, "64"),
        ("my-claude-skill", "reserved word claude"),
        ("anthropics", "reserved word anthropic"),
        ("''", "not empty"),
        ("[a]", "must be text"),
    ],
)
def test_names_that_are_no_slug_are_refused(name: str, why: str) -> None:
    message = refusal(head(f"name: {name}\ndescription: d"))
    assert message.startswith("SKILL.md: name")
    assert why in message


@pytest.mark.parametrize(
    ("description", "why"),
    [
        ("'   '", "not empty"),
        ("x" * 1025, "1024"),
        ("Use <tool>this</tool>", "XML"),
        ('"a\\0b"', "control"),
        ('"\\ud800"', "control"),
        ("{a: b}", "must be text"),
    ],
)
def test_descriptions_beyond_the_rules_are_refused(description: str, why: str) -> None:
    message = refusal(head(f"name: a\ndescription: {description}"))
    assert message.startswith("SKILL.md: description")
    assert why in message


def test_limits_are_inclusive() -> None:
    found = frontmatter.parse(head(f"name: {'n' * 64}\ndescription: {'d' * 1024}"), directory="")
    assert (len(found.name), len(found.description)) == (64, 1024)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"# no head",
        b"---\nname: a\n",
        b"\n---\nname: a\ndescription: b\n---\n",
        head("- a\n- b"),
        head("name: [a"),
        head("a: *unknown"),
        head("[" * 5000),
        head("<<: &a [*a]\n" * 50),
        b"---\n" + b"#" * 9000 + b"\nname: a\ndescription: b\n---\n",
        b"---\nname: \xff\n---\n",
    ],
)
def test_heads_that_cannot_be_read_are_refused_by_name(data: bytes) -> None:
    assert refusal(data).startswith("SKILL.md: ")


@given(st.binary(max_size=300), st.text(max_size=30))
def test_any_bytes_give_a_head_or_a_refusal(data: bytes, directory: str) -> None:
    for candidate in (data, b"---\n" + data + b"\n---\n"):
        try:
            found = frontmatter.parse(candidate, directory=directory)
        except InvalidRequest as error:
            assert error.message.startswith("SKILL.md: ")
        else:
            assert frontmatter.NAME.fullmatch(found.name)
            assert 1 <= len(found.description) <= 1024
