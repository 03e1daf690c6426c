"""Uploads as skills: one archive or single files, below one directory with a ``SKILL.md``."""

from __future__ import annotations

import pytest

from agents.skills import archive, bundle
from agents.skills.bundle import Part
from contract.errors import InvalidRequest
from tests.agents.skills.zips import good, skill_md, zipped

HEAD = skill_md().encode()


def paths_of(parts: list[Part]) -> list[str]:
    return [member.path for member in bundle.read(parts).members]


def refusal(*parts: Part) -> str:
    with pytest.raises(InvalidRequest) as caught:
        bundle.read(parts)
    return caught.value.message


@pytest.mark.parametrize("filename", ["skill.zip", "", "greeting.skill", "anything"])
def test_a_single_archive_is_unpacked_whatever_its_name(filename: str) -> None:
    found = bundle.read([Part(filename, good(notes="x"))])
    assert (found.name, found.description[:13]) == ("greeting", "Greets people")
    assert [member.path for member in found.members] == ["SKILL.md", "notes"]
    assert found.size == len(HEAD) + 1


def test_files_may_come_one_by_one_below_a_directory_or_without() -> None:
    assert paths_of([Part("g/SKILL.md", HEAD), Part("g/a/b.py", b"")]) == ["SKILL.md", "a/b.py"]
    assert paths_of([Part("SKILL.md", HEAD), Part("a/b.py", b"")]) == ["SKILL.md", "a/b.py"]
    assert paths_of([Part("SKILL.md", HEAD)]) == ["SKILL.md"]
    assert paths_of([Part("", zipped({"SKILL.md": HEAD, "x": b""}))]) == ["SKILL.md", "x"]


def test_an_archive_among_other_files_is_just_a_file() -> None:
    found = bundle.read([Part("g/SKILL.md", HEAD), Part("g/template.zip", good())])
    assert found.members[1].data == good()


def test_scripts_sent_one_by_one_may_run_when_they_name_their_interpreter() -> None:
    found = bundle.read([Part("SKILL.md", HEAD), Part("run.sh", b"#!/bin/sh\n"), Part("plain.txt", b"x")])
    assert [member.executable for member in found.members] == [False, True, False]


def test_other_archives_are_refused() -> None:
    assert refusal(Part("skill.tar.gz", b"\x1f\x8b\x08\x00")) == archive.UNREADABLE
    assert refusal() == "files: Field required, as file parts of a multipart/form-data body"


@pytest.mark.parametrize(
    "parts",
    [
        [Part("SKILL.md", HEAD), Part("../x", b"")],
        [Part("SKILL.md", HEAD), Part("SKILL.md", HEAD)],
        [Part("g/SKILL.md", HEAD), Part("h/x", b"")],
        [Part("g/x", b""), Part("g/y", b"")],
        [Part("SKILL.md", HEAD), Part("", b"")],
    ],
)
def test_files_outside_of_the_one_directory_are_refused(parts: list[Part]) -> None:
    assert refusal(*parts).startswith("files: ")


def test_limits_hold_for_single_files_too() -> None:
    many = [Part(str(number), b"") for number in range(archive.MAX_FILES)]
    assert refusal(Part("SKILL.md", HEAD), *many) == archive.TOO_MANY
    half = bytes(archive.MAX_BYTES // 2)
    assert refusal(Part("SKILL.md", HEAD), Part("a", half), Part("b", half)) == archive.TOO_LARGE


def test_the_directory_names_a_skill_without_a_name() -> None:
    assert bundle.read([Part("from-dir/SKILL.md", b"---\ndescription: d\n---\n")]).name == "from-dir"


def test_what_is_packed_reads_back_the_same() -> None:
    found = bundle.read([Part("x.zip", good(notes="x"))])
    assert bundle.read([Part("", found.packed())]) == found
