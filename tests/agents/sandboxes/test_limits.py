"""Bombs. Each is bounded by construction (counts, sizes, small limits), so that a failing layer
costs some hundred MiB and seconds at most, never the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents.sandboxes.base import MIB, Limits, SandboxError, SandboxLost, SandboxSpec
from agents.sandboxes.conformance import Bench, text, until
from tests.agents.sandboxes.hosts import KINDS, RunningHost

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.sandbox
of_every_kind = pytest.mark.parametrize("host", KINDS, indirect=True, scope="session")


@pytest.fixture
def small(host: RunningHost) -> Iterator[Bench]:
    limits = Limits(memory_bytes=200 * MIB, processes=40, file_bytes=4 * MIB, disk_bytes=24 * MIB, open_files=64)
    bench = Bench(host.client, limits)
    yield bench
    bench.discard()


FORK_BOMB = """
import os, time
for count in range(400):
    try:
        if os.fork() == 0:
            time.sleep(3)
            os._exit(0)
    except BlockingIOError:
        print("stopped at", count)
        break
"""


@of_every_kind
def test_a_fork_bomb_stops_at_the_limit_of_processes(small: Bench) -> None:
    small.open()
    small.call("write", file_path="bomb.py", content=FORK_BOMB)
    seen = small.bash("python3 bomb.py")
    assert seen.startswith("stopped at ")
    assert int(seen.split()[-1]) < 40
    until(lambda: not small.call("bash", command="echo alive").is_error)


@of_every_kind
def test_one_process_cannot_take_more_memory_than_the_limit(small: Bench) -> None:
    small.open()
    grab = "x = bytearray(300 * 2**20); print(len(x))"
    result = small.call("bash", command=f"python3 -c '{grab}'")
    assert result.is_error
    assert "MemoryError" in text(result)
    assert small.bash("echo alive") == "alive"


@of_every_kind
def test_many_processes_together_cannot_either(small: Bench) -> None:
    small.open()
    grab = "import time; x = bytearray(60 * 2**20); x[::4096] = b'1' * len(x[::4096]); time.sleep(20)"
    result = small.call("bash", command=f'for i in 1 2 3 4 5 6; do python3 -c "{grab}" & done; wait', timeout_ms=30_000)
    assert result.outcome == "unknown"
    assert "memory" in text(result) and "its limit of 200 MiB" in text(result)
    assert small.open().origin == "kept"
    assert small.bash("echo alive") == "alive"


@of_every_kind
def test_a_file_stops_growing_at_the_limit(small: Bench) -> None:
    small.open()
    result = small.call("bash", command="head -c 16000000 /dev/zero > big; echo $?; stat -c %s big")
    assert text(result).split()[-1] == str(4 * MIB)
    result = small.call("write", file_path="written", content="x" * (5 * MIB))
    assert text(result) == "write: written: file too large"


@of_every_kind
def test_many_files_stop_at_the_disk_limit(small: Bench) -> None:
    small.open()
    fill = "for i in $(seq 12); do head -c 3000000 /dev/urandom > f$i; done; sleep 20"
    result = small.call("bash", command=fill, timeout_ms=25_000)
    assert result.outcome == "unknown"
    assert "of disk, more than its limit" in text(result)


@of_every_kind
def test_shared_memory_and_descriptors_are_small(small: Bench) -> None:
    small.open()
    assert small.bash("ulimit -n; ulimit -c; stat -f -c '%b %S' /dev/shm") == "64\n0\n4096 4096"


@of_every_kind
def test_a_snapshot_over_the_disk_limit_is_refused(small: Bench, bench: Bench) -> None:
    bench.open()
    bench.bash("head -c 30000000 /dev/urandom > big")
    packed = b"".join(bench.backend.snapshot(bench.id))
    with pytest.raises(SandboxError, match="larger than the disk limit"):
        small.open(packed)


def test_opening_more_than_the_cap_ends_the_one_longest_unused() -> None:
    host = RunningHost("root", "--max-open", "2")
    try:
        for name in ("one", "two", "three"):
            host.client.open(SandboxSpec(name, first=True))
            host.client.call(name, "c", "bash", {"command": "echo x > f"})
        with pytest.raises(SandboxError, match="open it again"):
            host.client.call("one", "d", "bash", {"command": "cat f"})
        assert host.client.open(SandboxSpec("one")).origin == "kept"
        assert host.client.call("one", "d", "bash", {"command": "cat f"}).content[0]["text"] == "x"
    finally:
        host.stop()


def test_an_unused_sandbox_is_ended_and_its_files_kept() -> None:
    host = RunningHost("root", "--idle-minutes", "0.002")
    try:
        host.client.open(SandboxSpec("idle", first=True))
        slow = host.client.call("idle", "a", "bash", {"command": "echo x > f; sleep 1"})
        assert not slow.is_error
        until(lambda: _is_lost(host, "idle"))
        assert host.client.open(SandboxSpec("idle")).origin == "kept"
    finally:
        host.stop()


def _is_lost(host: RunningHost, name: str) -> bool:
    try:
        host.client.interrupt(name)
    except SandboxLost:
        return True
    return False
