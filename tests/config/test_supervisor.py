"""The supervisor over small children: readiness, restarts, bounded logs, and nothing left after a kill."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from config.services import kernel
from config.services.logs import BoundedLog
from config.services.service import Child, Service
from config.services.supervisor import ServiceFailed, Stop, Supervisor
from tests.live import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent.parent
FOREVER = "import time; print('up', flush=True); time.sleep(600)"


def service(name: str, code: str, tmp_path: Path, **changes: object) -> Service:
    settings = {"name": name, "argv": [sys.executable, "-c", code], "cwd": tmp_path, "env": dict(os.environ), **changes}
    return Service(**settings)  # type: ignore[arg-type]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path / "log", tmp_path / "pids.json", lambda line: None)
    yield made
    if not made.stopping:
        made.stop()


def alive(pid: int) -> bool:
    """Whether a process runs; one that only awaits its parent's notice does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in {"Z", "X"}
    return False


def test_a_service_is_ready_when_its_output_says_so(supervisor: Supervisor, tmp_path: Path) -> None:
    ready = service("talker", FOREVER, tmp_path, ready_text="up")
    supervisor.start(ready)
    supervisor.wait_ready([ready], 30)
    assert supervisor.children["talker"].is_ready


def test_a_step_that_fails_ends_the_start_with_its_last_lines(supervisor: Supervisor, tmp_path: Path) -> None:
    step = service("step", "print('the reason'); raise SystemExit(3)", tmp_path, once=True)
    supervisor.start(step)
    with pytest.raises(ServiceFailed, match=r"step ended with exit status 3[\s\S]*the reason"):
        supervisor.wait_ready([step], 30)


def test_a_step_that_succeeds_is_not_kept(supervisor: Supervisor, tmp_path: Path) -> None:
    step = service("step", "print('done')", tmp_path, once=True)
    supervisor.start(step)
    supervisor.wait_ready([step], 30)
    assert "step" not in supervisor.children


def test_a_service_that_never_gets_ready_is_named(supervisor: Supervisor, tmp_path: Path) -> None:
    slow = service("slow", FOREVER, tmp_path, ready=lambda: False)
    supervisor.start(slow)
    with pytest.raises(ServiceFailed, match="slow was not ready"):
        supervisor.wait_ready([slow], 0.2)


def test_what_dies_is_started_again_and_a_signal_ends_all(supervisor: Supervisor, tmp_path: Path) -> None:
    talker = service("talker", FOREVER, tmp_path, ready_text="up")
    supervisor.start(talker)
    supervisor.wait_ready([talker], 30)
    first = pid_of(tmp_path, "talker")

    def interfere() -> None:
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: pid_of(tmp_path, "talker") != first, 30)
        supervisor.signals += 1

    helper = threading.Thread(target=interfere)
    helper.start()
    with pytest.raises(Stop):
        supervisor.watch()
    helper.join(30)
    second = pid_of(tmp_path, "talker")
    assert second != first
    supervisor.stop()
    assert not alive(second)
    assert not (tmp_path / "pids.json").exists()


def pid_of(tmp_path: Path, name: str) -> int:
    return int(json.loads((tmp_path / "pids.json").read_text(encoding="utf-8"))[name])


def test_a_child_deaf_to_its_stop_signal_is_killed(supervisor: Supervisor, tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + FOREVER
    stubborn = service("stubborn", deaf, tmp_path, ready_text="up", stop_seconds=0.1)
    supervisor.start(stubborn)
    supervisor.wait_ready([stubborn], 30)
    process = supervisor.children["stubborn"].process
    supervisor.stop()
    assert process is not None
    assert process.returncode == -signal.SIGKILL


def test_restarts_come_quickly_at_first_and_then_wait_longer(tmp_path: Path) -> None:
    child = Child(service("x", FOREVER, tmp_path), BoundedLog(tmp_path / "x.log"), started=100.0)
    delays = [child.plan_restart(101.0) for _ in range(12)]
    assert delays == sorted(delays)
    assert delays[0] < 0.5
    assert delays[-1] == delays[-2] <= 30
    assert child.plan_restart(100.0 + 3600) == delays[0]
    child.log.close()


def test_a_log_is_turned_over_before_it_fills_the_disk(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "x.log", max_bytes=1000)
    for number in range(200):
        log.write(f"line {number:04} of the log\n".encode())
    log.close()
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 4
    assert max(sizes) <= 1000
    assert log.tail[-1] == "line 0199 of the log"


def test_a_killed_supervisor_takes_its_children_with_it(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from config.services.service import Service
from config.services.supervisor import Supervisor
supervisor = Supervisor(Path({str(tmp_path / "log")!r}), Path({str(tmp_path / "pids.json")!r}), print)
supervisor.start(Service(name="child", argv=[sys.executable, "-c", {FOREVER!r}], cwd=Path("/"), env={{}}))
supervisor.watch()
"""
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, preexec_fn=kernel.setup(signal.SIGKILL))
    wait_for(lambda: (tmp_path / "pids.json").exists(), 30)
    child = pid_of(tmp_path, "child")
    assert alive(child)
    parent.kill()
    parent.wait(10)
    wait_for(lambda: not alive(child), 10, "the child outlived its supervisor")


def test_a_process_killed_from_outside_is_started_again_at_once(tmp_path: Path) -> None:
    child = Child(service("x", FOREVER, tmp_path), BoundedLog(tmp_path / "x.log"))
    delays = []
    for _ in range(4):
        child.start()
        child.signal(signal.SIGKILL)
        wait_for(lambda: not child.alive, 20)
        delays.append(child.plan_restart(child.started + 1.0))
    assert len(set(delays)) == 1
    child.log.close()
