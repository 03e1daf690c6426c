"""Bad skill uploads: each is refused with the cause by name, and nothing is written."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from django.test import Client

from agents.models import Skill, SkillVersion
from agents.skills import archive, uploads
from tests.agents.skills.zips import good, skill_md, zipped
from tests.api.conftest import Caller, refusal
from tests.api.multipart import BOUNDARY, Piece, multipart

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.api.conftest import Refusal

HEAD = skill_md()
LINK = {"g/link": stat.S_IFLNK | 0o777}


def send(who: Caller, pieces: Sequence[Piece], kind: str | None = None) -> Refusal:
    body, real = multipart(pieces)
    return refusal(raw(who, body, kind or real))


def raw(who: Caller, body: bytes, kind: str) -> object:
    client = Client(raise_request_exception=False)
    return client.post("/v1/skills", body, content_type=kind, headers={"x-api-key": who.key})


def zip_of(files: dict[str, str | bytes], modes: dict[str, int] | None = None) -> Piece:
    return Piece("files[]", zipped(files, modes=modes), "s.zip")


def part(path: str, data: bytes | str = "") -> Piece:
    return Piece("files[]", data, path)


def label(data: bytes | str) -> list[Piece]:
    return [Piece("display_name", data), GOOD]


GOOD = part("s.zip", good())
BAD: dict[str, tuple[list[Piece], str]] = {
    "nothing": ([], "files: Field required"),
    "only text": ([Piece("display_name", "x")], "files: Field required"),
    "text as file": ([Piece("files[]", "hello")], "files: this is not a zip archive"),
    "unknown part": ([Piece("bogus", "x"), GOOD], "bogus: Extra inputs"),
    "file elsewhere": ([Piece("file", good(), "s.zip")], "file: Extra inputs"),
    "long label": (label("x" * 256), "display_name: must be at most"),
    "label of lines": (label("a\nb"), "display_name: must be one line"),
    "label not UTF-8": (label(b"\xff"), "display_name: must be UTF-8"),
    "escape": ([zip_of({"g/SKILL.md": HEAD, "../x": ""})], "files: '../x' must not leave"),
    "absolute": ([zip_of({"g/SKILL.md": HEAD, "/x": ""})], "files: '/x' must be a relative path"),
    "link": ([zip_of({"g/SKILL.md": HEAD, "g/link": "x"}, LINK)], "files: 'g/link' is a link"),
    "bomb": ([zip_of({"g/SKILL.md": HEAD, "g/0": bytes(31 << 20)})], "files: must be at most 30 MB"),
    "twice": ([part("SKILL.md", HEAD), part("SKILL.md", HEAD)], "files: 'SKILL.md' is there twice"),
    "two tops": ([zip_of({"a/x": "", "b/y": ""})], "files: must hold a SKILL.md"),
    "no head": ([zip_of({"g/SKILL.md": "hello"})], "SKILL.md: must begin with YAML frontmatter"),
    "bad name": ([zip_of({"g/SKILL.md": skill_md("Bad")})], "SKILL.md: name must be lowercase"),
    "reserved": ([zip_of({"g/SKILL.md": skill_md("claude-x")})], "SKILL.md: name must not contain"),
    "markup": ([zip_of({"g/SKILL.md": skill_md("g", "a <b>c</b>")})], "SKILL.md: description must not"),
    "part escape": ([part("g/SKILL.md", HEAD), part("g/../../x")], "files: 'g/../../x' must not leave"),
    "windows path": ([part("SKILL.md", HEAD), part("C:/x")], "files: 'C:/x' must be a relative path"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_uploads_are_refused_by_name_and_leave_nothing(alice: Caller, blob_dir: Path, case: str) -> None:
    pieces, message = BAD[case]
    refused = send(alice, pieces)
    assert (refused.status, refused.type) == (400, "invalid_request_error")
    assert refused.message.startswith(message), refused.message
    assert not Skill.objects.exists()
    assert not SkillVersion.objects.exists()
    assert [path for path in blob_dir.rglob("*") if path.is_file()] == []


def test_more_files_than_allowed_are_refused(alice: Caller) -> None:
    pieces = [Piece("files[]", "", f"g/{number}") for number in range(archive.MAX_FILES + 1)]
    assert send(alice, pieces).message == archive.TOO_MANY


def test_more_bytes_than_allowed_are_refused_while_they_come(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_BYTES", 100)
    assert send(alice, [Piece("files[]", "x" * 60, "a"), Piece("files[]", "x" * 60, "b")]).message == archive.TOO_LARGE


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", "application/json"),
        (b"", "application/json"),
        (b"files=x", "application/x-www-form-urlencoded"),
        (b"PK", "application/zip"),
    ],
)
def test_other_bodies_than_multipart_are_refused(alice: Caller, body: bytes, kind: str) -> None:
    assert refusal(raw(alice, body, kind)).message == uploads.NOT_MULTIPART


TRUNCATED = multipart([GOOD])[0][:-60]
BAD_BASE64 = (
    b'--a\r\nContent-Disposition: form-data; name="files[]"; filename="s.zip"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\n!!!!\r\n--a--\r\n"
)


@pytest.mark.parametrize(
    ("body", "boundary"),
    [
        (b"x", ""),
        (b"x", "; boundary="),
        (b"x", "; boundary=a"),
        (b"--a\r\n\r\n", "; boundary=a"),
        (TRUNCATED, f"; boundary={BOUNDARY}"),
        (BAD_BASE64, "; boundary=a"),
    ],
)
def test_broken_multipart_bodies_are_refused(alice: Caller, body: bytes, boundary: str) -> None:
    assert refusal(raw(alice, body, f"multipart/form-data{boundary}")).status == 400
    assert not Skill.objects.exists()
