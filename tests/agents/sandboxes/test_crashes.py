"""The sandbox host is killed in the middle of things: nothing stays behind, nothing runs twice."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agents.sandboxes import link
from agents.sandboxes.base import CallResult, SandboxError, SandboxSpec, SandboxUnavailable
from agents.sandboxes.conformance import until
from agents.sandboxes.engine import EngineSettings, RunnerBackend
from agents.sandboxes.local.launcher import LocalLauncher, LocalSettings
from agents.sandboxes.server import listen
from tests.agents.sandboxes.hosts import IDENTITIES, RunningHost

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.sandbox


@pytest.fixture(params=IDENTITIES)
def host(request: pytest.FixtureRequest) -> Iterator[RunningHost]:
    running = RunningHost(request.param)
    yield running
    running.stop()


def processes_with(word: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            try:
                if word.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def call_until_killed(host: RunningHost, command: str) -> tuple[threading.Thread, list[str], list[object]]:
    pieces: list[str] = []
    ended: list[object] = []

    def work() -> None:
        try:
            ended.append(host.client.call("box", "cut-off", "bash", {"command": command}, on_output=pieces.append))
        except SandboxError as error:
            ended.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, pieces, ended


def test_a_killed_host_leaves_no_process_and_never_repeats_a_call(host: RunningHost) -> None:
    mark = f"31{os.getpid()}{time.monotonic_ns() % 1000}"
    host.client.open(SandboxSpec("box", first=True))
    done = host.client.call("box", "done", "bash", {"command": "echo x >> count; echo done"})
    command = f"echo x >> count; echo begun; (setsid sleep {mark} &); sleep {mark}"
    thread, pieces, ended = call_until_killed(host, command)
    until(lambda: "begun" in "".join(pieces) and len(processes_with(mark)) > 1)

    host.kill()
    thread.join(10)
    assert isinstance(ended[0], SandboxUnavailable)
    until(lambda: not processes_with(mark))

    host.start()
    assert host.client.open(SandboxSpec("box")).origin == "kept"
    lost = host.client.call("box", "cut-off", "bash", {"command": command}, reattempt=True)
    assert (lost.outcome, lost.is_error) == ("unknown", True)
    assert host.client.call("box", "done", "bash", {"command": "never"}, reattempt=True) == done
    unsent = host.client.call("box", "unsent", "bash", {"command": "wc -l < count"}, reattempt=True)
    assert unsent.content == [{"type": "text", "text": "2"}]


def test_a_caller_that_goes_away_changes_nothing(host: RunningHost) -> None:
    host.client.open(SandboxSpec("box", first=True))
    given = {"command": "echo x >> count; while [ ! -e go ]; do sleep 0.02; done; wc -l < count"}
    connection = host.client.take()
    connection.send_json(
        {"op": "call", "sandbox_id": "box", "call_id": "c", "name": "bash", "input": given}
        | {"reattempt": False, "lane": "", "live": False}
    )
    counted = {"pattern": "count"}
    numbers = iter(range(10_000))
    until(lambda: "count" in host.client.call("box", f"g{next(numbers)}", "glob", counted).content[0]["text"])
    connection.close()
    results: list[CallResult] = []
    successor = threading.Thread(
        target=lambda: results.append(host.client.call("box", "c", "bash", given, reattempt=True)), daemon=True
    )
    successor.start()
    host.client.call("box", "go", "write", {"file_path": "go", "content": ""})
    successor.join(30)
    assert results[0].content == [{"type": "text", "text": "1"}]


def test_a_runner_killed_from_inside_loses_only_its_own_sandbox(host: RunningHost) -> None:
    host.client.open(SandboxSpec("box", first=True))
    host.client.open(SandboxSpec("other", first=True))
    assert host.client.call("box", "kill", "bash", {"command": "kill -KILL $PPID; sleep 60"}).outcome == "unknown"
    assert host.client.open(SandboxSpec("box")).origin == "kept"
    assert not host.client.call("other", "fine", "bash", {"command": "true"}).is_error


def test_a_runner_stopped_from_inside_is_ended_by_the_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "GRACE_SECONDS", 0.3)
    directory = Path(tempfile.mkdtemp(prefix="hfs-", dir="/tmp"))
    directory.chmod(0o755)
    launcher = LocalLauncher(LocalSettings(root=directory / "data"))
    backend = RunnerBackend(launcher, EngineSettings(watch_seconds=0.1))
    try:
        backend.open(SandboxSpec("box", first=True))
        result = backend.call("box", "stop", "bash", {"command": "kill -STOP $PPID; sleep 60", "timeout_ms": 200})
        assert (result.outcome, result.is_error) == ("unknown", True)
        assert "did not end bash in time" in result.content[0]["text"]
        assert backend.open(SandboxSpec("box")).origin == "kept"
    finally:
        backend.shutdown()
        launcher.release()
        shutil.rmtree(directory, ignore_errors=True)


def test_a_second_host_on_the_same_data_or_socket_is_refused(host: RunningHost) -> None:
    with pytest.raises(SandboxUnavailable, match="stop it first"):
        listen(host.socket)
    with pytest.raises(SandboxUnavailable, match="already serves"):
        LocalLauncher(LocalSettings(root=host.data))
