"""Programs that the local backend starts: who they are, and what they inherit."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agents.sandboxes.local.spawn import Started, settle, spawn
from tests.agents.sandboxes.hosts import ORDINARY_UID

if TYPE_CHECKING:
    from collections.abc import Sequence

PIPE_BYTES = 1024 * 1024
SECONDS = 20.0
ROOT = os.geteuid() == 0
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def started(*argv: str, user: int | None = None, kept: Sequence[int] = ()) -> Started:
    """By a thread of its own, as the backend does, which then looks whether it is who it was."""
    made: list[Started] = []
    before = (os.getresuid(), os.getresgid(), os.getgroups())

    def work() -> None:
        settle()
        made.append(spawn(Path(argv[0]), list(argv), user, kept, PIPE_BYTES))
        assert (os.getresuid(), os.getresgid(), os.getgroups()) == before

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(SECONDS)
    return made[0]


def output(child: Started) -> str:
    text = child.stdout.read().decode()
    assert child.wait(SECONDS) == 0, child.stderr.read()
    child.close()
    return text


def open_now() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def status_of(user: int | None) -> dict[str, str]:
    lines = output(started("/usr/bin/cat", "/proc/self/status", user=user)).splitlines()
    return {name: " ".join(value.split()) for name, _, value in (line.partition(":") for line in lines)}


def test_a_program_is_the_user_it_is_to_be_and_can_become_nobody_else() -> None:
    user = ORDINARY_UID if ROOT else None
    status, expected = status_of(user), ORDINARY_UID if ROOT else os.geteuid()
    assert status["Uid"].split() == [str(expected)] * 4
    assert ROOT is False or (status["Gid"].split(), status["Groups"]) == ([str(expected)] * 4, "")
    assert {status[name] for name in CAPABILITIES} == {"0" * 16}
    assert Path("/proc/self/status").read_text().count(f"Uid:\t{os.geteuid()}\t") == 1  # this thread never changed


def test_a_program_inherits_the_descriptors_kept_for_it_and_no_others() -> None:
    left, kept = (os.open(os.devnull, os.O_RDONLY) for _ in range(2))
    try:
        os.set_inheritable(left, True)
        numbers = {int(word) for word in output(started("/usr/bin/ls", "/proc/self/fd", kept=[kept])).split()}
    finally:
        os.close(left)
        os.close(kept)
    assert numbers - {kept} == {0, 1, 2, min(set(range(3, 10)) - {kept})}  # the last is the directory it reads


def test_a_program_begins_in_the_root_directory_without_an_environment_and_leads_a_session() -> None:
    assert output(started("/usr/bin/env")) == ""
    assert output(started("/usr/bin/pwd")) == "/\n"
    assert Path.cwd() != Path("/")
    child = started("/usr/bin/cat")
    assert os.getsid(child.pid) == child.pid
    child.kill()
    assert child.wait(SECONDS) == -9
    assert child.poll() == -9
    child.close()


def test_a_program_that_is_not_there_is_told_of_and_leaves_nothing_open() -> None:
    before = open_now()
    with pytest.raises(FileNotFoundError):
        spawn(Path("/usr/bin/no-such-program"), ["x"], None, [], PIPE_BYTES)
    assert open_now() == before


def test_waiting_for_a_program_ends_with_the_time_given() -> None:
    child = started("/usr/bin/cat")
    assert child.wait(0.01) is None
    child.stdin.close()
    assert child.wait(SECONDS) == 0
    child.close()
