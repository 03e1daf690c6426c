from __future__ import annotations

from typing import TYPE_CHECKING

from agents.sandboxes.runner.texts import SPILL_CHARACTERS, SPILL_FILES, Cleaner, TailCollector, head_or_spill

if TYPE_CHECKING:
    from pathlib import Path


def test_bytes_become_text_in_whatever_pieces_they_come() -> None:
    data = "é\x1b[1;31mred\x1b[0m \x1b]0;title\x07end\x00".encode() + b"\xff"
    for size in (1, 2, 3, 5, 100):
        cleaner = Cleaner()
        pieces = [cleaner.feed(data[at : at + size]) for at in range(0, len(data), size)]
        assert "".join(pieces) + cleaner.feed(b"", final=True) == "éred end\ufffd\ufffd"


def test_an_escape_that_never_ends_is_not_held_back_for_ever() -> None:
    assert Cleaner().feed(b"\x1b[" + b"1" * 300) == "\x1b[" + "1" * 300


def test_output_up_to_the_limit_is_given_whole(tmp_path: Path) -> None:
    collector = TailCollector(str(tmp_path / "r"), "call")
    collector.add("x" * SPILL_CHARACTERS)
    assert collector.text() == "x" * SPILL_CHARACTERS
    assert not (tmp_path / "r").exists()


def test_longer_output_is_in_a_file_and_its_end_is_shown(tmp_path: Path) -> None:
    collector = TailCollector(str(tmp_path / "r"), "ca/ll")
    whole = "".join(f"{number}\n" for number in range(100_000))
    for at in range(0, len(whole), 999):
        collector.add(whole[at : at + 999])
    text = collector.text()
    path = tmp_path / "r" / "ca_ll.txt"
    assert path.read_text() == whole
    first, note, rest = text.split("\n", 2)
    assert first == "[output truncated]"
    assert (
        f"[{len(whole)} characters in all; the whole output is in {path}; its last {SPILL_CHARACTERS} follow]" == note
    )
    assert whole.rstrip("\n").endswith(rest)


def test_a_long_text_is_in_a_file_and_its_beginning_is_shown(tmp_path: Path) -> None:
    whole = "a" * SPILL_CHARACTERS + "b" * 10
    text = head_or_spill(whole, str(tmp_path), "call")
    assert text.startswith("a" * SPILL_CHARACTERS + "\n[output truncated]\n[100010 characters in all; the whole output")
    assert (tmp_path / "call.txt").read_text() == whole


def test_where_no_file_can_be_written_the_note_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    text = head_or_spill("a" * (SPILL_CHARACTERS + 1), str(tmp_path / "file"), "call")
    assert "no file could be written" in text


def test_only_the_latest_files_are_kept(tmp_path: Path) -> None:
    for number in range(SPILL_FILES + 5):
        head_or_spill("a" * (SPILL_CHARACTERS + 1), str(tmp_path), f"c{number}")
    assert len(list(tmp_path.iterdir())) == SPILL_FILES
