"""Where no database is, or none can be made, one sentence says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Never

import psycopg
import pytest
from django.core import management
from django.db import OperationalError

import manage
from config.readers import SettingError
from config.services.postgres import Postgres

if TYPE_CHECKING:
    from pathlib import Path


def fails_by(monkeypatch: pytest.MonkeyPatch, cause: psycopg.OperationalError) -> None:
    def execute(argv: list[str]) -> Never:
        raise OperationalError("couldn't get a connection\nand more of it") from cause

    monkeypatch.setattr(management, "execute_from_command_line", execute)
    monkeypatch.setattr("sys.argv", ["manage.py", "verify"])


def test_a_command_without_a_database_says_so_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    fails_by(monkeypatch, psycopg.OperationalError("away"))
    with pytest.raises(SystemExit, match=r"gave no answer \(couldn't get a connection\); .* DATABASE_URL\.$"):
        manage.main()


def test_what_a_database_answered_is_told_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    fails_by(monkeypatch, psycopg.errors.DiskFull("full"))
    with pytest.raises(OperationalError):
        manage.main()


def test_a_directory_that_can_t_become_the_database_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "pg" / "lost+found").mkdir(parents=True)
    with pytest.raises(SettingError, match=r"mount the disk at DATA_DIR itself.*\.$"):
        Postgres(tmp_path, tmp_path).prepare()
    assert not (tmp_path / "pg.draft").exists()
