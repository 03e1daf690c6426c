from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from agents.sandboxes import journal as module
from agents.sandboxes.base import SandboxUnavailable
from agents.sandboxes.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RESULT = {"content": [{"type": "text", "text": "x"}], "is_error": False}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def test_a_kept_journal_knows_what_was_started_and_what_finished(path: Path) -> None:
    journal = Journal.create(path, reaches_back=True)
    journal.started("a", "bash")
    journal.finished("a", RESULT)
    journal.started("b", "bash")
    journal.close()
    kept = Journal.load(path)
    assert (kept.state("a"), kept.state("b"), kept.state("c")) == ("finished", "started", None)
    assert kept.result("a") == RESULT
    assert kept.result("b") is None
    assert kept.reaches_back


def test_a_torn_last_line_is_cut_off(path: Path) -> None:
    journal = Journal.create(path, reaches_back=True)
    journal.started("a", "bash")
    journal.close()
    with path.open("ab") as handle:
        handle.write(b'{"call": "b", "sta')
    kept = Journal.load(path)
    assert kept.state("b") is None
    kept.started("c", "bash")
    kept.close()
    assert Journal.load(path).state("c") == "started"


def test_after_a_reboot_a_journal_no_longer_reaches_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.create(path, reaches_back=True)
    journal.started("a", "bash")
    journal.finished("a", RESULT)
    journal.close()
    monkeypatch.setattr(module, "boot_id", lambda: "another")
    for _ in range(2):
        kept = Journal.load(path)
        assert not kept.reaches_back
        assert kept.result("a") == RESULT
        kept.close()


def test_a_large_journal_keeps_states_and_only_the_latest_results(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMPACT_BYTES", 1000)
    monkeypatch.setattr(module, "RESULTS_KEPT", 3)
    journal = Journal.create(path, reaches_back=True)
    for number in range(40):
        journal.started(f"c{number}", "bash")
        journal.finished(f"c{number}", RESULT)
    states = [journal.state(f"c{number}") for number in range(40)]
    journal.close()
    kept = Journal.load(path)
    assert [kept.state(f"c{number}") for number in range(40)] == states
    dropped = states.count("dropped")
    assert 20 < dropped < 38 and states == ["dropped"] * dropped + ["finished"] * (40 - dropped)
    assert kept.result("c39") == RESULT
    assert kept.reaches_back
    kept.finished("new", RESULT)
    assert kept.result("new") == RESULT


def test_the_journal_is_readable_by_its_owner_only(path: Path) -> None:
    Journal.create(path, reaches_back=False).close()
    assert path.stat().st_mode & 0o777 == 0o600


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """The kernel lets this process write no file beyond so many bytes, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_no_half_line_and_the_journal_goes_on_once_there_is_room(path: Path) -> None:
    journal = Journal.create(path, reaches_back=True)
    journal.started("one", "bash")
    before = path.stat().st_size
    with no_file_beyond(before + 20), pytest.raises(SandboxUnavailable, match="make room on the disk"):
        journal.started("two" * 20, "bash")
    assert path.stat().st_size == before, "half a line"
    journal.started("three", "bash")
    journal.close()
    again = Journal.load(path)
    assert (again.state("one"), again.state("two" * 20), again.state("three")) == ("started", None, "started")
    again.close()
