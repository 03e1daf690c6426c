"""Runners that are forks of a warm interpreter: who they are inside, and what happens without them."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agents.sandboxes.base import SandboxSpec
from agents.sandboxes.boxes import seccomp
from agents.sandboxes.boxes.usage import process_tree
from agents.sandboxes.conformance import Bench
from agents.sandboxes.engine import RunnerBackend
from agents.sandboxes.local import binary, process
from agents.sandboxes.local.launcher import LocalLauncher, LocalSettings
from agents.sandboxes.local.nursery import Nursery

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.agents.sandboxes.hosts import RunningHost

pytestmark = pytest.mark.sandbox

STATUS = "grep -hE '^(Name|PPid|Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:)' /proc/[0-9]*/status"
OURS = b"%d" % os.getpid()
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


@pytest.fixture
def backend() -> Iterator[RunnerBackend]:
    directory = Path(tempfile.mkdtemp(prefix="hfs-", dir="/tmp"))
    directory.chmod(0o755)
    launcher = LocalLauncher(LocalSettings(root=directory / "data"))
    made = RunnerBackend(launcher)
    yield made
    made.shutdown()
    launcher.release()
    shutil.rmtree(directory, ignore_errors=True)


def nurseries() -> list[int]:
    """Those that this process has started, and not a host of the other tests."""
    ours = [pid for pid in process_tree(os.getpid()) if read(pid, "stat").rpartition(b")")[2].split()[1:2] == [OURS]]
    return [pid for pid in ours if b"runner.nursery" in read(pid, "cmdline")]


def read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def answered(backend: RunnerBackend, name: str) -> bool:
    backend.open(SandboxSpec(name, first=True))
    return not backend.call(name, f"call-{name}", "bash", {"command": "true"}).is_error


def processes(printed: str) -> list[dict[str, str]]:
    """Of each process inside what ``STATUS`` printed."""
    found: list[dict[str, str]] = []
    for name, _, value in (line.partition(":\t") for line in printed.splitlines()):
        if name == "Name":
            found.append({})
        found[-1][name] = " ".join(value.split())
    return found


@pytest.mark.parametrize("network", ["none", "proxy"])
def test_a_forked_runner_is_a_child_of_the_first_process_and_has_no_more_rights_than_a_command(
    host: RunningHost, network: str
) -> None:
    bench = Bench(host.client)
    bench.open(network=network)
    try:
        inside = processes(bench.bash(STATUS))
    finally:
        bench.discard()
    runner, command = (next(one for one in inside if one["Name"] == name) for name in ("python3", "bash"))
    assert "cat" in {one["Name"] for one in inside}  # what keeps a sandbox that a fork enters
    assert runner["PPid"] == "1"
    assert (runner["Uid"], runner["Gid"]) == (" ".join(["1000"] * 4),) * 2
    assert {runner[name] for name in runner if name.startswith("Cap")} == {"0" * 16}
    assert (runner["NoNewPrivs"], runner["Seccomp"]) == ("1", "2")
    same = runner.keys() - {"Name", "PPid"}
    assert {name: runner[name] for name in same} == {name: command[name] for name in same}


def test_a_forked_runner_is_in_every_namespace_of_its_sandbox_and_keeps_nothing_of_the_host_open(
    host: RunningHost,
) -> None:
    bench = Bench(host.client)
    bench.open()
    try:
        bench.bash("true")
        first = json.loads((host.data / "boxes" / bench.id / "init.json").read_text())["pid"]
        runner = next(pid for pid in process_tree(first) if read(pid, "comm") == b"python3\n")
        assert read(runner, "environ") == b""
        assert str(host.directory).encode() not in read(runner, "cmdline")
        if os.geteuid() == 0:  # who else may not look
            for name in NAMESPACES:
                its, theirs, ours = (Path(f"/proc/{pid}/ns/{name}").readlink() for pid in (runner, first, "self"))
                assert its == theirs != ours
            opened = {str(path.readlink()).split(":")[0] for path in Path(f"/proc/{runner}/fd").iterdir()}
            assert opened == {"pipe", "/dev/null", "/dev/pts/ptmx"}
    finally:
        bench.discard()


def test_runners_are_forked_only_after_one_was_found_confined_and_start_anew_when_the_nursery_dies(
    backend: RunnerBackend, caplog: pytest.LogCaptureFixture
) -> None:
    assert answered(backend, "before")
    assert not nurseries()
    assert not [reason for reason in backend.probe().reasons if "forked" in reason]
    assert answered(backend, "forked")
    os.kill(nurseries()[0], signal.SIGKILL)
    assert answered(backend, "after")
    assert "the nursery is given up" in caplog.text
    assert not [reason for reason in backend.probe().reasons if "forked" in reason]
    assert answered(backend, "again")
    assert len(nurseries()) == 1


def test_no_runner_is_forked_where_the_filter_cannot_be_put_on_one(
    backend: RunnerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "Nursery", lambda runtime, steps: Nursery(runtime, steps[:7]))
    report = backend.probe()
    assert report.usable
    assert [reason for reason in report.reasons if "forked" in reason and "filter could not be put on" in reason]
    assert answered(backend, "box")
    assert not nurseries()


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Nursery]:
    made = Nursery(binary.install(tmp_path / "runtime"), seccomp.build())
    yield made
    made.close()


@pytest.fixture
def nowhere() -> Iterator[tuple[tuple[int, ...], int]]:
    """What a runner is given of what is no sandbox, and where its errors are read."""
    own = os.pidfd_open(os.getpid())
    ends = [os.pipe() for _ in range(3)]
    yield (ends[0][0], ends[1][1], ends[2][1], own), ends[2][0]
    for fd in (own, *(end for pair in ends for end in pair)):
        os.close(fd)


def test_what_is_no_sandbox_is_not_entered_and_the_nursery_goes_on(
    bare: Nursery, nowhere: tuple[tuple[int, ...], int]
) -> None:
    given, errors = nowhere
    assert [bare.bear(None, "serve", given) for _ in range(2)] == [False, False]
    said = os.read(errors, 4096).splitlines()
    assert len(said) == 2
    assert all(line.startswith((b"OSError: ", b"PermissionError: ")) for line in said)


def test_nobody_takes_an_answer_that_came_too_late_for_their_own(
    bare: Nursery, nowhere: tuple[tuple[int, ...], int]
) -> None:
    given, errors = nowhere
    os.kill(bare._process.pid, signal.SIGSTOP)
    bare._host.settimeout(0.1)
    with pytest.raises(TimeoutError):
        bare.bear(None, "serve", given)
    os.kill(bare._process.pid, signal.SIGCONT)
    assert select.select([errors], [], [], 20)[0]  # the late one failed, and said so before it is answered
    with pytest.raises(OSError, match="descriptor"):
        bare.bear(None, "serve", given)
