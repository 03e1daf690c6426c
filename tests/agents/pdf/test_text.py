"""The text of PDFs: taken out in a process of its own, whatever the file does to it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pypdf

from agents.apart import reading
from agents.pdf import reader, text
from agents.pdf.text import text_of
from tests.pdfs import pdf

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_every_page_is_read_under_its_number() -> None:
    found = text_of(pdf("Hello there", "", "General"))
    assert found.text == "[Page 1]\nHello there\n\n[Page 3]\nGeneral"
    assert (found.pages, found.cut, found.fault) == (3, False, "")


def test_what_is_no_pdf_or_a_broken_one_is_said() -> None:
    for data in (b"", b"hello", pdf("Hello")[:60], b"%PDF-1.4\n" + bytes(range(256)) * 50):
        found = text_of(data)
        assert found.text == ""
        assert found.fault or found.pages == 0


def test_a_password_is_said() -> None:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("Secret")))
    writer.encrypt("open sesame")
    held = io.BytesIO()
    writer.write(held)
    assert text_of(held.getvalue()).fault == "it is protected by a password"


def test_more_than_fits_is_cut_and_said() -> None:
    found = text_of(pdf(*["word " * 900] * 30))
    assert found.cut
    assert len(found.text) == reader.CHARACTERS


def test_a_file_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "LARGEST", 10)
    assert text_of(pdf("Large enough")).fault.startswith("it is larger than")


def test_a_reader_that_hangs_or_dies_ends_as_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hanging, dying = tmp_path / "hanging.py", tmp_path / "dying.py"
    hanging.write_text("import time\ndef read(data):\n    time.sleep(600)\n")
    dying.write_text("import os, signal\ndef read(data):\n    os.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setattr(text, "READER", dying)
    assert text_of(pdf("Dying")).fault == "reading it takes too much memory"
    monkeypatch.setattr(text, "READER", hanging)
    monkeypatch.setattr(reading, "SECONDS", 0.5)
    assert text_of(pdf("Hanging")).fault == "reading it takes too long"


def test_the_reader_gets_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    telling = tmp_path / "telling.py"
    telling.write_text("import os\ndef read(data):\n    return {'text': os.environ.get('SECRET_KEY', 'nothing')}\n")
    monkeypatch.setenv("SECRET_KEY", "of the installation")
    monkeypatch.setattr(text, "READER", telling)
    assert text_of(pdf("Telling")).text == "nothing"


def test_the_same_file_is_read_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = pdf("Only once")
    assert text_of(data).pages == 1
    monkeypatch.setattr(text, "READER", tmp_path / "gone.py")
    assert text_of(data).pages == 1


def test_what_was_a_failure_of_the_moment_is_tried_again_after_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now, later, real = pdf("For now"), pdf("Another time"), text.READER
    dying = tmp_path / "dying.py"
    dying.write_text("import os, signal\ndef read(data):\n    os.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setattr(text, "READER", dying)
    faults = [text_of(now).fault]
    monkeypatch.setattr(text, "PASSING_SECONDS", 0.0)
    assert text_of(later).fault == faults[0]
    monkeypatch.setattr(text, "READER", real)
    assert text_of(now).fault == faults[0]
    assert "Another time" in text_of(later).text


def test_a_fault_of_the_file_itself_is_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = b"%PDF-1.7 and nothing else"
    monkeypatch.setattr(text, "PASSING_SECONDS", 0.0)
    fault = text_of(broken).fault
    assert "could not be read" in fault
    monkeypatch.setattr(text, "READER", tmp_path / "gone.py")
    assert text_of(broken).fault == fault
