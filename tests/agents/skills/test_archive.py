"""Archives from strangers: what comes out is plain files within the limits, or nothing."""

from __future__ import annotations

import io
import stat
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.skills import archive
from agents.skills.archive import Member
from contract.errors import InvalidRequest
from tests.agents.skills.zips import doctored, good, zipped

LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
MEGABYTE = 1024 * 1024


def refusal(data: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        archive.unpack(data)
    return caught.value.message


def test_files_come_out_with_their_bytes_and_whether_they_may_run() -> None:
    modes = {"s/": stat.S_IFDIR | 0o755, "s/run": stat.S_IFREG | 0o4755}
    data = zipped({"s/": "", "s/run": "#!", "s/a/b.txt": "text"}, modes=modes)
    assert archive.unpack(data) == [Member("s/run", b"#!", True), Member("s/a/b.txt", b"text", False)]


def test_what_systems_add_for_themselves_is_left_out() -> None:
    data = zipped({"s/a": "1", "__MACOSX/s/._a": "2", "s/.DS_Store": "3"})
    assert [member.path for member in archive.unpack(data)] == ["s/a"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(kind: int) -> None:
    data = zipped({"s/a": "1", "s/odd": "/etc/passwd"}, modes={"s/odd": kind | 0o777})
    assert refusal(data) == "files: 's/odd' is a link or a device; only files and directories are allowed"


@pytest.mark.parametrize("name", ["../a", "/a", "s/../../a", "C:/a", "s/a\nb"])
def test_escapes_are_refused(name: str) -> None:
    assert refusal(zipped({"s/SKILL.md": "x", name: "y"})).startswith(f"files: {name!r}")


def test_a_name_cut_short_by_a_null_is_refused() -> None:
    data = zipped({"s/aXb": "x"}).replace(b"s/aXb", b"s/a\x00b")
    assert "control" in refusal(data)


def test_a_bomb_is_refused_by_what_it_says_of_itself() -> None:
    data = zipped({"s/zeros": bytes(archive.MAX_BYTES + 1)})
    assert len(data) < MEGABYTE
    assert refusal(data) == archive.TOO_LARGE


def test_a_bomb_of_many_files_is_refused_by_their_sum() -> None:
    chunk = bytes(4 * MEGABYTE)
    assert refusal(zipped({f"s/{number}": chunk for number in range(8)})) == archive.TOO_LARGE


def test_a_bomb_that_lies_about_its_size_is_refused() -> None:
    data = zipped({"s/zeros": bytes(2 * MEGABYTE)})
    small = doctored(doctored(data, LOCAL, 22, "<I", 10), CENTRAL, 24, "<I", 10)
    assert refusal(small) == archive.UNREADABLE


def test_too_many_files_are_refused() -> None:
    names = {f"s/{number}": "" for number in range(archive.MAX_FILES * 2 + 1)}
    assert refusal(zipped(names)) == archive.TOO_MANY


def test_a_directory_of_an_archive_that_would_fill_the_memory_is_not_read() -> None:
    assert refusal(good() + CENTRAL * (archive.MAX_FILES * archive.NESTED + 1)) == archive.TOO_MANY


def test_encrypted_files_are_refused() -> None:
    data = doctored(doctored(good(), LOCAL, 6, "<H", 1), CENTRAL, 8, "<H", 1)
    assert "is encrypted" in refusal(data)


def test_other_methods_than_deflate_are_refused() -> None:
    assert "deflate" in refusal(zipped({"s/a": "x"}, method=zipfile.ZIP_LZMA))
    assert "deflate" in refusal(zipped({"s/a": "x"}, method=zipfile.ZIP_BZIP2))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        b"no zip at all",
        good()[:-30],
        good()[40:],
        doctored(good(), CENTRAL, 16, "<I", 1),  # checksum
        doctored(good(), CENTRAL, 42, "<I", 10**6),  # offset of the file
    ],
)
def test_broken_archives_are_refused(data: bytes) -> None:
    assert refusal(data) == archive.UNREADABLE


@given(st.data())
def test_archives_with_flipped_bytes_give_files_or_a_refusal(data: st.DataObject) -> None:
    broken = bytearray(good(notes="some text " * 20))
    for _ in range(data.draw(st.integers(1, 6))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        members = archive.unpack(bytes(broken))
    except InvalidRequest as error:
        assert error.message.startswith("files: ")
    else:
        assert sum(len(member.data) for member in members) <= archive.MAX_BYTES


def test_equal_skills_make_equal_archives() -> None:
    members = [Member("SKILL.md", b"head", False), Member("bin/run", b"#!/bin/sh", True)]
    packed = archive.pack("greeting", members)
    assert packed == archive.pack("greeting", members[::-1])
    assert zipfile.ZipFile(io.BytesIO(packed)).namelist() == ["greeting/SKILL.md", "greeting/bin/run"]
    assert archive.unpack(packed) == [Member(f"greeting/{one.path}", one.data, one.executable) for one in members]
