"""What only the docker backend does: finding an engine, reading limits back, clearing up after a killed host."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import docker
import pytest

from agents.sandboxes.base import Limits, SandboxError, SandboxSpec
from agents.sandboxes.conformance import text, until
from agents.sandboxes.docker import limits
from tests.agents.sandboxes.hosts import ROOT, RunningHost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agents.sandboxes.base import CallResult

pytestmark = pytest.mark.sandbox


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("unix:///nowhere/docker.sock", "can't be reached (No such file or directory): start it, set DOCKER_HOST"),
        ("tcp://127.0.0.1:2375", "sandboxes need an engine on this machine"),
    ],
)
def test_an_engine_that_cannot_be_used_ends_the_start_with_a_sentence(
    tmp_path: Path, address: str, sentence: str
) -> None:
    command = [sys.executable, "-m", "agents.sandboxes.host", "--socket", str(tmp_path / "s"), "--data", str(tmp_path)]
    env = {"PATH": os.environ["PATH"], "DOCKER_HOST": address}
    done = subprocess.run(
        [*command, "--backend", "docker"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def version_2(root: Path, memory: str, processes: str, events: str = "oom_kill 0\n") -> Path:
    group = limits.group(os.getpid(), "", root)
    group.mkdir(parents=True, exist_ok=True)
    (root / "cgroup.controllers").write_text("memory pids")
    for name, value in (("memory.max", memory), ("pids.max", processes), ("memory.events", events)):
        (group / name).write_text(value)
    return root


@pytest.mark.parametrize(
    ("memory", "processes", "said"),
    [
        ("1024\n", "5\n", None),
        ("max\n", "5\n", "memory.max is max where 1024 was asked for"),
        ("1024\n", "6\n", "pids.max is 6 where 5 was asked for"),
    ],
)
def test_a_limit_that_is_asked_for_and_not_in_force_is_named(
    tmp_path: Path, memory: str, processes: str, said: str | None
) -> None:
    root = version_2(tmp_path, memory, processes)
    assert limits.missing(os.getpid(), Limits(memory_bytes=1024, processes=5), root) == said


def test_a_process_that_the_kernel_ended_for_memory_is_noticed(tmp_path: Path) -> None:
    assert not limits.killed_for_memory(os.getpid(), version_2(tmp_path / "a", "1", "1"))
    assert limits.killed_for_memory(os.getpid(), version_2(tmp_path / "b", "1", "1", "low 0\noom_kill 2\n"))
    assert not limits.killed_for_memory(2**22 + 1, version_2(tmp_path / "c", "1", "1"))


@pytest.fixture
def host() -> Iterator[RunningHost]:
    running = RunningHost("docker")
    yield running
    running.stop()


def test_a_killed_hosts_containers_are_removed_and_their_calls_run_no_second_time(host: RunningHost) -> None:
    host.client.open(SandboxSpec("box", first=True))
    begun: list[str] = []
    given = {"command": "echo x >> count; echo begun; sleep 60"}

    def cut_off() -> None:
        with pytest.raises((SandboxError, OSError)):
            host.client.call("box", "cut", "bash", given, on_output=begun.append)

    thread = threading.Thread(target=cut_off)
    thread.start()
    until(lambda: bool(begun))
    assert len(containers(host)) == 1
    host.kill()
    thread.join(30)
    host.start()
    assert containers(host) == []
    assert host.client.open(SandboxSpec("box")).origin == "kept"
    again: CallResult = host.client.call("box", "cut", "bash", given, reattempt=True)
    assert (again.outcome, again.is_error) == ("unknown", True)
    assert text(host.client.call("box", "look", "bash", {"command": "cat count"})) == "x"


def containers(host: RunningHost) -> list[str]:
    assert host.engine is not None
    client = docker.APIClient(host.engine.address, timeout=30)
    try:
        found = client.containers(all=True, filters={"label": "holdfast.sandbox=box"})
        return [one["Id"] for one in found]
    finally:
        client.close()
