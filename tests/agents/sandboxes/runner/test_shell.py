"""The shell behind a sandbox's commands, without the sandbox."""

from __future__ import annotations

import os
import select
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from agents.sandboxes.runner import shell as shells
from agents.sandboxes.runner.bare import Flag
from agents.sandboxes.runner.processes import kill_tree
from agents.sandboxes.runner.shell import Shell, base_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(str(tmp_path / "script"), str(tmp_path), base_environment({}, str(tmp_path)))
    yield made
    made.close()


def run(shell: Shell, command: str, seconds: float = 30) -> tuple[shells.Ended, str]:
    said: list[bytes] = []
    ended = shell.run(command, seconds, said.append, Flag())
    return ended, b"".join(said).decode()


def test_an_interrupt_that_comes_after_the_end_does_nothing_to_the_next_command(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill_and_be_late(pid: int) -> None:
        """By the next interrupt the shell has ended the command, and it hears of that interrupt a while later."""
        kill_tree(pid)
        assert select.select([shell._answers], [], [], 20)[0]
        assert shell._process is not None
        os.kill(shell._process.pid, signal.SIGSTOP)
        threading.Timer(0.3, os.kill, (shell._process.pid, signal.SIGCONT)).start()

    monkeypatch.setattr(shells, "kill_tree", kill_and_be_late)
    monkeypatch.setattr(shells, "GRACE_SECONDS", 0.2)
    ended, _ = run(shell, "(trap '' INT TERM; sleep 60)", seconds=0.5)
    assert (ended.code, ended.cause) == (130, "timeout")
    for word in ("one", "two"):
        ended, said = run(shell, f"echo {word}")
        assert (ended.code, said) == (0, f"{word}\n")
