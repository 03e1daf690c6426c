"""A disk is full: the database's own, and the one that sandboxes lie on."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.chaos.client import Job, counting_task
from tests.chaos.conftest import LEASE_SECONDS
from tests.chaos.inside import verify
from tests.live import Installation, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.live,
    pytest.mark.sandbox,
    pytest.mark.skipif(os.geteuid() != 0, reason="a small disk can only be mounted by root"),
]

STEPS = 8
MEGABYTE = 1024 * 1024
FLOOR = 512  # megabytes below which the sandbox host opens no new sandbox


@pytest.fixture
def victim() -> Iterator[Installation]:
    """One for each test: what lay on the small disk is gone with it."""
    with Installation.started(WORKERS="2", LEASE_SECONDS=str(LEASE_SECONDS)) as running:
        yield running


@contextlib.contextmanager
def cramped(victim: Installation, name: str, room: int) -> Iterator[Path]:
    """What a directory of the installation holds lies on a disk of its own with so many megabytes of room."""
    victim.stop()
    directory, moved = victim.data_dir / name, victim.data_dir / f"{name}.moved"
    directory.mkdir(exist_ok=True)
    directory.rename(moved)
    directory.mkdir()
    found = moved.stat()
    size = sum(file.stat().st_blocks * 512 for file in moved.rglob("*")) // MEGABYTE + room
    options = f"size={size}m,mode={found.st_mode & 0o7777:o},uid={found.st_uid},gid={found.st_gid}"
    command = ["mount", "-t", "tmpfs", "-o", options, "small", str(directory)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk here: {mounted.stderr.decode()}")
    try:
        subprocess.run(["cp", "-a", f"{moved}/.", str(directory)], check=True, timeout=120)
        shutil.rmtree(moved)
        victim.start()
        yield directory
        victim.stop()
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def test_a_database_without_room_stops_the_session_and_nothing_else(victim: Installation) -> None:
    with cramped(victim, "pg", 8) as cluster:
        job = Job.start(victim, counting_task(STEPS, 0.5))
        job.wait_for("agent.tool_result", 1)
        _fill(cluster / "filler")
        wait_for(lambda: "No space left on device" in victim.log("postgres"), 120, "the database found room")
        (cluster / "filler").unlink()
        job.wait_until_idle(180)
        assert job.audit() == []
        assert len(job.side_effects()) == STEPS
        assert verify(victim) == ""


def test_a_sandbox_without_room_is_an_error_of_the_call(victim: Installation) -> None:
    with cramped(victim, "sandboxes", FLOOR + 50) as sandboxes:
        (sandboxes / "filler").write_bytes(bytes(100 * MEGABYTE))
        job = Job.start(victim, counting_task(1, 0.1))
        job.wait_for("agent.tool_result", 1)
        job.wait_until_idle()
        (result,) = [event for event in job.events() if event.type == "agent.tool_result"]
        assert result.is_error
        assert "free some space" in result.content[0].text
        (sandboxes / "filler").unlink()
        job.say("Run `echo there is room`.")
        job.wait_for_text("agent.tool_result", "there is room")
        job.wait_until_idle()
        assert job.audit() == []


def _fill(filler: Path) -> None:
    """Take all the room there is; what frees up meanwhile, too."""
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(64 * 1024))
        except OSError:
            return
