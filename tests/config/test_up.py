"""`manage.py up`, the whole product: one tree, refused twice, comes back, leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.config.test_supervisor import alive
from tests.live import NEW, ROOT, Installation, free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.live]


@pytest.fixture(scope="module")
def running() -> Iterator[Installation]:
    """Its own installation: these tests kill parts of it."""
    with Installation.started(NEW) as started:
        yield started


def up(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "up"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_sign_in_is_written_for_its_owner_alone(running: Installation) -> None:
    file = running.data_dir / "dev.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert set(json.loads(file.read_text(encoding="utf-8"))) == {"url", "username", "password", "api_key"}


def test_the_sign_in_is_printed(running: Installation) -> None:
    """Readiness may be seen from outside a moment before the supervisor tells of it."""
    told = (running.url, running.username, running.password, running.api_key)
    wait_for(lambda: all(value in running.output() for value in told), 10, running.output)


def test_every_part_is_reported_ready(running: Installation) -> None:
    with urllib.request.urlopen(f"{running.url}/readyz?all", timeout=10) as answer:
        parts = json.loads(answer.read())["parts"]
    assert set(parts) == {"database", "nudges", "broker", "sandbox_host", "egress", "workers", "sweeper"}
    assert set(parts.values()) == {"ok"}


def test_a_second_up_on_the_same_data_is_refused_in_a_sentence(running: Installation) -> None:
    second = up({**running.environment, "PORT": str(free_port())})
    assert second.returncode == 2
    assert "already running" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_port_in_use_is_refused_in_a_sentence(running: Installation) -> None:
    second = up({**running.environment, "DATA_DIR": f"{running.data_dir}/second"})
    assert second.returncode == 2
    assert f"Port {running.port}" in second.stderr
    assert "set PORT" in second.stderr


def test_the_sandbox_host_is_told_nothing(running: Installation) -> None:
    (pid,) = running.pids("sandbox")
    with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - a path of the kernel's
        names = {entry.partition(b"=")[0].decode() for entry in file.read().split(b"\0") if entry}
    assert not {name for name in names if name.endswith(("_URL", "_KEY", "_KEYS", "_TOKEN"))}
    assert "DATA_DIR" not in names


@pytest.mark.parametrize("role", ["valkey", "postgres", "sandbox", "web", "worker", "sweeper", "nursery"])
def test_a_killed_part_comes_back_by_itself(running: Installation, role: str) -> None:
    killed = running.kill(role)
    wait_for(lambda: running.pids(role) and not set(killed) & set(running.pids(role)), 60, f"{role} was not restarted")
    running.wait_ready()


def test_a_worker_comes_back_while_the_nursery_is_away(running: Installation) -> None:
    killed = [*running.kill("nursery"), *running.kill("worker")]

    def back() -> bool:
        now = [*running.pids("nursery"), *running.pids("worker")]
        return len(now) == len(killed) and not set(killed) & set(now)

    wait_for(back, 60, "they were not restarted")
    running.wait_ready()


def test_a_killed_tree_leaves_nothing_and_starts_again_with_its_data(running: Installation) -> None:
    everything = [*running.all_pids().values(), *running.pids("up")]
    os.kill(running.pids("up")[0], signal.SIGKILL)
    assert running.process is not None
    running.process.wait(10)
    wait_for(lambda: not any(map(alive, everything)), 20, "processes were left behind")
    password = running.password
    running.start()
    assert running.password == password


def test_an_interrupt_ends_the_tree_in_order(running: Installation) -> None:
    everything = list(running.all_pids().values())
    assert running.process is not None
    process = running.process
    running.stop()
    assert process.returncode == 0
    assert not any(map(alive, everything))
    running.start()


def test_a_setting_that_cannot_work_is_one_sentence_on_the_terminal() -> None:
    refused = up({"PATH": os.environ["PATH"], "DATA_DIR": "/proc/nowhere"})
    assert refused.returncode == 2
    assert refused.stderr.startswith("holdfast: The data directory /proc/nowhere cannot be made")
    assert refused.stderr.count("\n") == 1
