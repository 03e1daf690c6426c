"""Sockets need short paths; secrets are made once."""

from __future__ import annotations

import os
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from config import places
from config.readers import SettingError

if TYPE_CHECKING:
    from pathlib import Path


def test_sockets_live_in_the_data_directory_when_its_path_is_short(tmp_path: Path) -> None:
    short = tmp_path if len(str(tmp_path)) < 80 else tmp_path.parent
    assert places.runtime_dir(short) == short / "run"


def test_sockets_move_to_a_short_private_directory_when_the_path_is_long(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    run = places.runtime_dir(deep)
    assert len(str(run)) + len(places.LONGEST_SOCKET_NAME) <= places.SOCKET_PATH_LIMIT
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert places.runtime_dir(deep) == run
    run.rmdir()


def test_a_socket_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    deep = tmp_path / ("e" * 90)
    deep.mkdir()
    run = places.runtime_dir(deep)
    run.chmod(0o777)
    with pytest.raises(SettingError, match="open to others"):
        places.runtime_dir(deep)
    run.rmdir()


def test_processes_that_start_together_agree_on_a_generated_secret(tmp_path: Path) -> None:
    found: list[str] = []
    barrier = threading.Barrier(8)

    def start(number: int) -> None:
        barrier.wait(10)
        found.append(places.generated(tmp_path / "key", lambda: f"secret {number}"))

    threads = [threading.Thread(target=start, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8
    assert len(set(found)) == 1
    assert os.listdir(tmp_path) == ["key"]  # noqa: PTH208 - the bare names
