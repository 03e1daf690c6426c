"""Who is taken for dead: what is frozen or stuck, soon; what is slow, only after long; nobody while we were away."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from config.services.supervisor import Supervisor
from config.services.watch import (
    FIRST_BEAT_SECONDS,
    LONGEST_TURN_SECONDS,
    SLOW_TIMES,
    Question,
    Watch,
    processor_seconds,
    told,
)
from contract.watchdog import Heart
from tests.config.test_supervisor import ROOT, pid_of, service
from tests.live import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LIMIT = 5
LOOK_USES = 0.002
BEATING = (
    "from contract.watchdog import Heart; Heart().beat_aside(); print('up', flush=True); import time; time.sleep(600)"
)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    made = Watch(tmp_path / "beats", LIMIT)
    yield made
    made.close()


@pytest.fixture
def idle() -> Iterator[int]:
    """A process that uses no processor time."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def busy() -> Iterator[int]:
    """A process that uses the processor and says nothing."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield process.pid
        process.kill()


def heart(watch: Watch) -> Heart:
    return Heart(told(watch.path, watch.limit, {}))


def silent_after(
    watch: Watch, pid: int, seconds: float, began: float, question: Callable[[], bool] | None = None
) -> bool:
    """Whether `pid` is taken for dead once so many seconds more have gone by, seen each second."""
    looks = int(seconds)
    return any(watch.silent({"child": (pid, question)}, began + look) for look in range(1, looks + 1))


def test_who_beats_lives_and_who_stops_is_dead_after_the_limit(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """We are the child: it beats once, does something for two seconds more, and then nothing."""
    used = iter([1.0, 1.5, 2.0, *[2.1] * 20])
    monkeypatch.setattr("config.services.watch.processor_seconds", lambda pid: next(used))
    heart(watch).beat()
    assert not watch.silent({"child": (os.getpid(), None)}, 0.0)
    assert not silent_after(watch, os.getpid(), LIMIT, 0.0)
    assert silent_after(watch, os.getpid(), 1, LIMIT)


def test_an_answer_counts_as_a_beat_and_is_asked_for_only_after_a_while(watch: Watch, idle: int) -> None:
    asked: list[bool] = []

    def answers() -> bool:
        asked.append(True)
        return True

    assert not watch.silent({"child": (idle, answers)}, 0.0)
    assert not silent_after(watch, idle, 20, 0.0, answers)
    assert 0 < len(asked) <= 10
    assert silent_after(watch, idle, LIMIT + 3, 20.0, lambda: False)


def test_what_was_never_heard_has_time_to_load_its_program(watch: Watch, idle: int) -> None:
    watch.silent({"child": (idle, None)}, 0.0)
    assert not silent_after(watch, idle, FIRST_BEAT_SECONDS, 0.0)
    assert silent_after(watch, idle, 1, FIRST_BEAT_SECONDS)


def test_what_uses_the_processor_is_slow_and_gets_longer(watch: Watch, busy: int) -> None:
    watch.silent({"child": (busy, None)}, 0.0)
    watch._silences["child"].hear()
    for look in range(LIMIT * SLOW_TIMES):
        wanted = processor_seconds(busy) + LOOK_USES
        while processor_seconds(busy) < wanted:
            time.sleep(0.001)
        assert not watch.silent({"child": (busy, None)}, look + 1.0)
    assert silent_after(watch, busy, 1, LIMIT * SLOW_TIMES)


def test_nobody_is_late_because_we_were_away(watch: Watch, idle: int) -> None:
    """A machine that slept, a supervisor that was stopped: the time between two looks counts for little."""
    watch.silent({"child": (idle, None)}, 0.0)
    watch._silences["child"].hear()
    assert not watch.silent({"child": (idle, None)}, 100_000.0)
    assert watch._silences["child"].seconds == LONGEST_TURN_SECONDS
    assert not watch.silent({"child": (idle, None)}, 50.0), "nor because a clock went back"


def test_a_child_that_was_started_again_begins_anew(watch: Watch, idle: int) -> None:
    watch.silent({"child": (os.getpid(), None)}, 0.0)
    watch._silences["child"].seconds = math.inf
    assert not watch.silent({"child": (idle, None)}, 1.0)


def test_only_its_own_process_can_beat_for_a_child(watch: Watch, idle: int) -> None:
    watch.silent({"child": (idle, None)}, 0.0)
    heart(watch).beat()
    watch.silent({"child": (idle, None)}, 1.0)
    assert not watch._silences["child"].heard


def test_a_heart_never_waits_for_whoever_listens(watch: Watch) -> None:
    beats = heart(watch)
    beats.seconds = 0.0
    for _ in range(5_000):  # nobody reads: the socket's queue is full long before
        beats.beat()
    watch.close()
    beats.beat()


def test_a_beat_that_found_no_room_is_made_up_for_soon(watch: Watch) -> None:
    beats, others = heart(watch), heart(watch)
    beats.seconds, others.seconds = 600.0, 0.0
    for _ in range(5_000):
        others.beat()
    beats.beat()
    watch._beating()
    beats.beat()
    assert watch._beating() == {os.getpid()}
    beats.beat()
    assert watch._beating() == set()


def test_nothing_is_sent_where_nobody_listens_or_another_process_is_meant(watch: Watch) -> None:
    assert not Heart({}).wanted
    assert Heart({}).pause is None
    assert not Heart({**told(watch.path, LIMIT, {}), "WATCHDOG_PID": "1"}).wanted
    assert Heart({**told(watch.path, LIMIT, {}), "WATCHDOG_PID": str(os.getpid())}).pause == LIMIT / 8


def test_a_start_alone_is_told_where_a_unit_has_no_watchdog(tmp_path: Path) -> None:
    """`Type=notify` without `WatchdogSec=`; also by a name that is no file."""
    name = f"holdfast-test-{os.getpid()}-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(10)
        beats = Heart({"NOTIFY_SOCKET": f"@{name}"})
        beats.beat()
        beats.beat()
        assert listener.recv(100) == b"READY=1\nWATCHDOG=1"
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.recv(100)


def test_children_are_not_told_of_the_one_that_watches_us(tmp_path: Path) -> None:
    ours = {"NOTIFY_SOCKET": "/run/systemd/notify", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "7", "PATH": "/bin"}
    assert told(tmp_path, 0, ours) == {"PATH": "/bin"}
    assert told(tmp_path, 20, ours) == {"PATH": "/bin", "NOTIFY_SOCKET": str(tmp_path), "WATCHDOG_USEC": "20000000"}


def test_a_question_is_answered_refused_or_left_open(tmp_path: Path) -> None:
    place = str(tmp_path / "server")
    question = Question(place, b"PING\r\n", b"+", b"-")
    assert not question(), "there is no server"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place)
        server.listen()
        assert not question()
        link, _ = server.accept()
        with link:
            assert not question()
            assert question.probe is not None, "the same question is still open"
            link.sendall(b"-LOADING\r\n")
            wait_for(question, 10)
        assert question.probe is None


@pytest.mark.parametrize("stop", [signal.SIGSTOP, signal.SIGKILL])
def test_a_frozen_child_is_killed_and_started_again_and_the_log_says_so(tmp_path: Path, stop: signal.Signals) -> None:
    lines: list[str] = []
    beats = tmp_path / "beats"
    environment = told(beats, LIMIT, {**os.environ, "PYTHONPATH": str(ROOT)})
    supervisor = Supervisor(tmp_path / "log", tmp_path / "pids.json", lines.append, Watch(beats, LIMIT))
    child = service("child", BEATING, tmp_path, ready_text="up", env=environment)
    other = service("other", BEATING, tmp_path, ready_text="up", env=environment)
    try:
        supervisor.start(child, other)
        supervisor.wait_ready([child, other], 60)
        first, second = (pid_of(tmp_path, name) for name in ("child", "other"))
        os.kill(first, stop)

        def again() -> bool:
            supervisor._turn(0.2, restart=True)
            return pid_of(tmp_path, "child") != first and supervisor.children["child"].is_ready

        wait_for(again, 60, lambda: "\n".join(lines))
        assert pid_of(tmp_path, "other") == second
        assert any("has said nothing for more than 5 s" in line for line in lines) == (stop is signal.SIGSTOP)
        assert any("child ended with SIGKILL" in line for line in lines)
    finally:
        supervisor.stop()
