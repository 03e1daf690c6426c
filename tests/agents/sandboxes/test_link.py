"""A running sandbox as its host sees it: what a full disk, a hostile runner and a sudden end do to calls."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Any, cast

import pytest

from agents.sandboxes.base import CallResult, SandboxLost, SandboxSpec, SandboxUnavailable
from agents.sandboxes.journal import Journal
from agents.sandboxes.link import Call, Link

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DONE = {"content": [{"type": "text", "text": "done"}], "is_error": False, "outputs": [], "ms": 1.0}


class Runner:
    """A runner's pipe, both ends held by the test; also ``link.Process``."""

    def __init__(self) -> None:
        self.asked: SimpleQueue[dict[str, Any]] = SimpleQueue()
        reading, writing = os.pipe()
        self.stdin = cast("IO[bytes]", self)
        self.stdout: IO[bytes] = os.fdopen(reading, "rb")
        self._said: IO[bytes] = os.fdopen(writing, "wb", 0)
        self.init_pid = 0
        self.say({"ready": True})

    def write(self, data: bytes) -> int:
        self.asked.put(json.loads(data))
        return len(data)

    def flush(self) -> None:
        """Everything was taken already."""

    def say(self, message: Any) -> None:
        self._said.write(json.dumps(message).encode() + b"\n")

    def kill(self) -> None:
        self._said.close()

    def wait(self, seconds: float) -> int | None:
        return 0

    def errors(self) -> str:
        return ""

    def close(self) -> None:
        self.kill()
        self.stdout.close()


class FullDisk(Journal):
    """Takes nothing while ``full``."""

    full = False

    def _append(self, record: dict[str, Any]) -> tuple[int, int]:
        if self.full:
            raise SandboxUnavailable("The journal of the sandbox can't be written.")
        return super()._append(record)


@contextmanager
def opened(tmp_path: Path) -> Iterator[tuple[Link, Runner, FullDisk]]:
    runner, journal = Runner(), FullDisk.create(tmp_path / "journal", reaches_back=True)
    assert isinstance(journal, FullDisk)
    link = Link(SandboxSpec("sesn_1"), runner, journal)
    runner.asked.get(timeout=30)
    try:
        yield link, runner, journal
    finally:
        link.end("The test is over.")
        assert link.ended.wait(30)
        journal.close()


def begun(link: Link, call_id: str) -> Call:
    call = link.begin(call_id, "bash", {}, False)
    assert isinstance(call, Call)
    return call


def test_a_call_that_the_journal_cannot_take_is_not_begun_and_holds_nobody_up(tmp_path: Path) -> None:
    with opened(tmp_path) as (link, runner, journal):
        journal.full = True
        call = begun(link, "one")
        assert list(call.output()) == []
        assert call.result is None and isinstance(call.fault, SandboxUnavailable)
        assert not link.busy and runner.asked.empty()
        journal.full = False
        assert begun(link, "two").result is None
        assert runner.asked.get(timeout=30)["label"] == "two"


def test_a_result_that_cannot_be_kept_is_given_to_who_waits_and_unknown_to_who_asks_later(tmp_path: Path) -> None:
    with opened(tmp_path) as (link, runner, journal):
        call = begun(link, "one")
        journal.full = True
        runner.say({"id": runner.asked.get(timeout=30)["id"], **DONE})
        assert list(call.output()) == []
        assert call.result is not None and not call.result.is_error
        journal.full = False
        again = link.begin("one", "bash", {}, True)
        assert isinstance(again, CallResult) and again.outcome == "unknown"


def test_all_output_is_passed_on_although_the_result_is_there_already(tmp_path: Path) -> None:
    with opened(tmp_path) as (link, runner, _):
        call = begun(link, "one")
        pieces = call.output()
        number = runner.asked.get(timeout=30)["id"]
        for text in ("a", "b", "c\ud800\x00"):
            runner.say({"id": number, "out": text})
        runner.say({"id": number, **DONE})
        assert list(call.output())[-3:] in (["a", "b", "c?\ufffd"], ["b", "c?\ufffd"], ["c?\ufffd"], [])
        assert list(pieces) == ["a", "b", "c?\ufffd"]


def test_who_waits_for_a_call_that_was_not_begun_hears_of_the_end(tmp_path: Path) -> None:
    with opened(tmp_path) as (link, runner, _):
        begun(link, "one")
        waiting = begun(link, "two")
        runner.kill()
        assert link.ended.wait(30)
        assert list(waiting.output()) == [], "listening only now"
        assert isinstance(waiting.fault, SandboxLost)


@pytest.mark.parametrize("odd", [{"ms": float("inf")}, {"ms": float("nan")}, {"outputs": [["f", float("inf"), 1]]}])
def test_numbers_that_nobody_can_store_end_the_sandbox(tmp_path: Path, odd: dict[str, Any]) -> None:
    with opened(tmp_path) as (link, runner, _):
        call = begun(link, "one")
        runner.say({"id": runner.asked.get(timeout=30)["id"], **DONE, **odd})
        assert list(call.output()) == []
        assert call.result is not None and call.result.outcome == "unknown"
        assert link.lost == "The sandbox sent something that is no answer and was ended."


def test_a_sandbox_with_a_call_on_its_way_is_not_retired_and_a_retired_one_takes_none(tmp_path: Path) -> None:
    with opened(tmp_path) as (link, runner, _):
        call = begun(link, "one")
        assert not link.retire("unused")
        runner.say({"id": runner.asked.get(timeout=30)["id"], **DONE})
        assert list(call.output()) == []
        assert link.retire("unused")
        with pytest.raises(SandboxLost, match="unused"):
            begun(link, "two")
