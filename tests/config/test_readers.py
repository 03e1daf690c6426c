"""One setting at a time: what is read, and the sentence an odd value gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from config.readers import Reader, SettingError
from contract.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path


def test_a_secret_shows_itself_only_when_asked() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]} {secret!s}"
    assert secret.reveal() == "hunter2"
    assert not Secret("")


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Reader({"PORT": " "}).integer("PORT", 8400, low=1, high=9) == 8400


@pytest.mark.parametrize("value", ["yes", "1", "True", "ON"])
def test_a_flag_takes_the_usual_words_for_true(value: str) -> None:
    assert Reader({"DEBUG": value}).flag("DEBUG") is True


@pytest.mark.parametrize("value", ["no", "0", "False", "off"])
def test_a_flag_takes_the_usual_words_for_false(value: str) -> None:
    assert Reader({"DEBUG": value}).flag("DEBUG", default=True) is False


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (lambda reader: reader.flag("X"), "maybe"),
        (lambda reader: reader.integer("X", 1, low=1, high=65535), "0"),
        (lambda reader: reader.integer("X", 1, low=1, high=65535), "-3"),
        (lambda reader: reader.integer("X", 1, low=1, high=65535), "80²"),
        (lambda reader: reader.integer("X", 1, low=1, high=65535), "eighty"),
        (lambda reader: reader.number("X", 1.0, low=1, high=300), "nan"),
        (lambda reader: reader.number("X", 1.0, low=1, high=300), "soon"),
        (lambda reader: reader.choice("X", "local", ("local", "docker")), "podman"),
        (lambda reader: reader.zone("X", "UTC"), "Mars/X"),
        (lambda reader: reader.level("X", "INFO"), "LOUD"),
    ],
)
def test_an_odd_value_is_refused_by_name_with_what_to_write(read: object, value: str) -> None:
    with pytest.raises(SettingError, match=r"^X is .+; write .+\.$") as refusal:
        read(Reader({"X": value}))  # type: ignore[operator]
    assert value in str(refusal.value)


@pytest.mark.parametrize(
    "value", ["ftp://host/x", "host:5432", "http://", "http://[::1", "http://host:port", "http://host:99999"]
)
def test_an_odd_url_is_refused_by_name(value: str) -> None:
    with pytest.raises(SettingError, match=r"^X .+\.$"):
        Reader({"X": value}).url("X", "", ("http", "https"))


def test_a_refused_url_is_not_repeated_because_it_may_hold_a_password() -> None:
    with pytest.raises(SettingError) as refusal:
        Reader({"X": "mysql://me:hunter2@host/db"}).url("X", "", ("postgresql",))
    assert "hunter2" not in str(refusal.value)


def test_a_value_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("  from-file\n", encoding="utf-8")
    assert Reader({"KEY_FILE": str(tmp_path / "key")}).secret("KEY").reveal() == "from-file"


def test_a_missing_value_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="KEY_FILE"):
        Reader({"KEY_FILE": str(tmp_path / "none")}).text("KEY")


def test_a_value_and_its_file_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="KEY and KEY_FILE are both set"):
        Reader({"KEY_FILE": str(tmp_path / "none"), "KEY": "x"}).text("KEY")


def test_names_may_be_separated_by_commas_or_spaces() -> None:
    assert Reader({"HOSTS": "a.example, b.example c.example"}).names("HOSTS") == ("a.example", "b.example", "c.example")
