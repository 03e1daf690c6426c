"""What a worker may know of the proxy without asking it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credentials.egress.board import Board, may_have_records
from credentials.egress.records import KEPT, Record
from credentials.egress.sessions import Sessions

if TYPE_CHECKING:
    from pathlib import Path

ONE, OTHER = "sesn_one", "sesn_other"


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "egress.sock"


def record() -> Record:
    return Record("example.org", 443, "GET", "allowed", "", over=True)


def test_records_show_until_the_last_of_them_was_seen(socket: Path) -> None:
    records = Sessions(b"k" * 32, Board(socket).change).get(ONE).records
    assert not may_have_records(socket, ONE)
    first, second = record(), record()
    records.add(first)
    records.add(second)
    records.add(first)
    assert may_have_records(socket, ONE)
    assert not may_have_records(socket, OTHER)
    records.take("worker", [first.id])
    assert may_have_records(socket, ONE)
    records.take("worker", [first.id, second.id, "sevt_unknown"])
    assert not may_have_records(socket, ONE)


def test_of_too_many_records_those_that_are_kept_count(socket: Path) -> None:
    records = Sessions(b"k" * 32, Board(socket).change).get(ONE).records
    added = [record() for _ in range(KEPT + 3)]
    for one in added:
        records.add(one)
    records.take("worker", [one.id for one in added[3:-1]])
    assert may_have_records(socket, ONE)
    records.take("worker", [added[-1].id])
    assert not may_have_records(socket, ONE)


def test_a_forgotten_sessions_records_show_no_more(socket: Path) -> None:
    sessions = Sessions(b"k" * 32, Board(socket).change)
    sessions.get(ONE).records.add(record())
    sessions.forget(ONE)
    assert not may_have_records(socket, ONE)


def test_a_proxy_that_starts_keeps_nothing_of_the_one_before_and_is_seen_where_that_was(socket: Path) -> None:
    Board(socket).change(ONE, 3)
    assert may_have_records(socket, ONE)
    board = Board(socket)
    assert not may_have_records(socket, ONE)
    board.change(ONE, 1)
    assert may_have_records(socket, ONE)


def test_whoever_can_not_tell_asks(socket: Path) -> None:
    file = socket.with_name("egress.sock.board")
    assert may_have_records(socket, ONE), "there is no board"
    file.write_bytes(b"short")
    assert may_have_records(socket, ONE), "it is none"
    file.unlink()
    Board(socket)
    assert not may_have_records(socket, ONE)
    file.unlink()
    Board(socket).change(ONE, 1)
    assert may_have_records(socket, ONE), "another stands in its place"


def test_the_board_is_its_owners_alone(socket: Path) -> None:
    Board(socket)
    assert socket.with_name("egress.sock.board").stat().st_mode & 0o777 == 0o600
