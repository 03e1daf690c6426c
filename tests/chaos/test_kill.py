"""Real processes are killed while a real session works; it must go on by itself and do nothing twice."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import anthropic
import psycopg
import pytest

from config import places
from sessions.harness.lease import LIVENESS_CLASS
from sessions.sweeper import SWEEPER_NUMBER
from tests.chaos.client import Job, counting_task
from tests.chaos.conftest import LEASE_SECONDS
from tests.chaos.inside import verify
from tests.live import wait_for

if TYPE_CHECKING:
    from tests.live import Installation

pytestmark = [pytest.mark.live, pytest.mark.sandbox]

SWEEPS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND (classid, objid) = (%s, %s)"
SLOW_TEXT = "[[demo: slow=30]] [[demo: hugetext=900]] Tell me something long."


def finish(job: Job, lines: int) -> None:
    job.wait_until_idle()
    assert job.audit() == []
    assert sorted(job.side_effects()) == sorted(f"step-{number}" for number in range(lines))
    assert verify(job.installation) == ""


def test_a_worker_killed_while_a_tool_runs(victim: Installation) -> None:
    job = Job.start(victim, counting_task(3, 1.0))
    job.wait_for("agent.tool_use", 2)
    victim.kill("worker")
    finish(job, 3)
    results = [event.to_json() for event in job.events() if event.type == "agent.tool_result"]
    assert all("done" in result for result in results), "a running call was waited for, not given up"


def test_a_worker_killed_while_the_model_streams(victim: Installation) -> None:
    job = Job.start(victim, SLOW_TEXT)
    job.wait_for("span.model_request_start")
    victim.kill("worker")
    job.wait_until_idle()
    assert job.audit() == []
    assert job.count("agent.message") == 1
    assert job.count("span.model_request_start") == 2
    assert verify(victim) == ""


def test_the_whole_tree_killed_while_a_tool_runs(victim: Installation) -> None:
    job = Job.start(victim, counting_task(3, 1.0))
    job.wait_for("agent.tool_use", 2)
    restart(victim)
    finish(job, 3)
    results = [event.to_json() for event in job.events() if event.type == "agent.tool_result"]
    assert sum("unknown" in result for result in results) == 1, "the model is told what nobody can know"


def test_the_whole_tree_killed_while_the_model_streams(victim: Installation) -> None:
    job = Job.start(victim, SLOW_TEXT)
    job.wait_for("span.model_request_start")
    restart(victim)
    job.wait_until_idle()
    assert job.audit() == []
    assert job.count("agent.message") == 1
    assert verify(victim) == ""


def test_the_sandbox_host_killed_while_a_tool_runs(victim: Installation) -> None:
    job = Job.start(victim, counting_task(3, 1.0))
    job.wait_for("agent.tool_use", 2)
    victim.kill("sandbox")
    finish(job, 3)


def test_a_worker_frozen_past_its_lease_writes_nothing_when_it_thaws(victim: Installation) -> None:
    job = Job.start(victim, counting_task(4, 1.0))
    job.wait_for("agent.tool_use", 2)
    first, second = victim.kill("worker", signal.SIGSTOP)
    expired = time.monotonic() + LEASE_SECONDS + 1
    wait_for(lambda: time.monotonic() > expired, LEASE_SECONDS + 5)
    os.kill(first, signal.SIGCONT)
    done = job.count("agent.tool_result")
    job.wait_for("agent.tool_result", done + 1)
    os.kill(second, signal.SIGCONT)
    finish(job, 4)


def test_the_web_server_killed_while_a_session_works(victim: Installation) -> None:
    job = Job.start(victim, counting_task(3, 0.5))
    job.wait_for("agent.tool_use", 1)
    victim.kill("web")
    finish(job, 3)


def test_the_broker_killed_while_a_session_works(victim: Installation) -> None:
    job = Job.start(victim, counting_task(3, 0.5))
    job.wait_for("agent.tool_use", 1)
    victim.kill("valkey")
    finish(job, 3)


def test_the_database_killed_while_a_session_works(victim: Installation) -> None:
    job = Job.start(victim, counting_task(4, 0.5))
    job.wait_for("agent.tool_use", 1)
    victim.kill("postgres")
    finish(job, 4)


def test_a_snapshot_that_fails_its_hash_is_not_restored_and_the_timeline_says_so(victim: Installation) -> None:
    job = Job.start(victim, "Run `echo precious > kept.txt; echo written`.")
    wait_for(lambda: job.operations("ops.sandbox_snapshot"), 150, job.trace)
    (kept,) = job.operations("ops.sandbox_snapshot")
    blob = victim.data_dir / "blobs" / kept["digest"][:2] / kept["digest"]
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    lose_sandbox(victim, job)
    job.say("Run `cat kept.txt; echo looked`.")
    job.wait_for_text("agent.tool_result", "looked")
    job.wait_until_idle()
    (told,) = job.operations("ops.sandbox_restored")
    assert (told["origin"], told["damaged_snapshot"]) == ("fresh", kept["digest"])
    assert job.audit() == []


def test_an_earlier_snapshot_is_restored_where_the_last_one_fails_its_hash(victim: Installation) -> None:
    job = Job.start(victim, "Run `echo first > kept.txt; echo written`.")
    wait_for(lambda: job.operations("ops.sandbox_snapshot"), 150, job.trace)
    job.say("Run `echo second > later.txt; echo added`.")
    wait_for(lambda: len(job.operations("ops.sandbox_snapshot")) == 2, 150, job.trace)
    _, last = job.operations("ops.sandbox_snapshot")
    (victim.data_dir / "blobs" / last["digest"][:2] / last["digest"]).write_bytes(b"?")
    lose_sandbox(victim, job)
    job.say("Run `cat kept.txt; ls; echo looked`.")
    job.wait_for_text("agent.tool_result", "looked")
    job.wait_until_idle()
    (told,) = job.operations("ops.sandbox_restored")
    assert (told["origin"], told["damaged_snapshot"]) == ("restored", last["digest"])
    assert told["earlier_snapshot"] >= 1
    (seen,) = [event.to_json() for event in job.events() if "looked" in event.to_json() and "result" in event.type]
    assert "first" in seen
    assert "later.txt" not in seen
    assert job.audit() == []


def lose_sandbox(victim: Installation, job: Job) -> None:
    victim.kill("sandbox")
    for box in (victim.data_dir / "sandboxes").rglob(job.id):
        shutil.rmtree(box)


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk can only be mounted by root")
def test_a_full_disk_is_told_of_and_the_session_goes_on_once_there_is_room(victim: Installation) -> None:
    blobs = victim.data_dir / "blobs"
    blobs.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "small", str(blobs)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk here: {mounted.stderr.decode()}")
    try:
        filler = blobs / "filler"
        with contextlib.suppress(OSError):
            filler.write_bytes(b"x" * 300_000)
        job = Job.start(victim, counting_task(2, 0.1))
        wait_for(lambda: job.operations("ops.no_room"), 60, job.trace)
        assert job.count("agent.tool_result") == 0, "a result is committed with what it left behind"
        with pytest.raises(anthropic.InternalServerError, match="is full") as refused:
            job.api.with_options(max_retries=0).beta.files.upload(file=("large.bin", b"x" * 100_000))
        assert refused.value.status_code == 507
        filler.unlink()
        finish(job, 2)
        (told,) = job.operations("ops.no_room")
        assert "full" in told["message"]
        wait_for(lambda: job.operations("ops.sandbox_snapshot"), 150, job.trace)
    finally:
        subprocess.run(["umount", "-l", str(blobs)], check=True)


def restart(victim: Installation) -> None:
    """kill -9 of the whole tree; then it is started again, as a person would."""
    victim.die()
    victim.start()


def test_a_database_that_came_back_fails_no_request_no_page_and_no_sweep(victim: Installation) -> None:
    """All connections that the processes kept died with it: none may be given to anybody."""
    address = f"postgresql://holdfast@/holdfast?host={places.runtime_dir(victim.data_dir)}"

    def sweeps() -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(address, connect_timeout=5) as database:
            held = database.execute(SWEEPS, [LIVENESS_CLASS, SWEEPER_NUMBER]).fetchone()
            return held == (1,)
        return False

    http = victim.signed_in()
    http.headers["x-api-key"] = victim.api_key
    with contextlib.closing(http), ThreadPoolExecutor(16) as crowd:
        list(crowd.map(lambda _: http.get("/v1/sessions").raise_for_status(), range(100)))
        (before,) = victim.pids("postgres")
        victim.kill("postgres")
        wait_for(lambda: victim.pids("postgres") not in ([], [before]) and sweeps(), 60)
        statuses = [http.get(path).status_code for path in ["/sessions/", "/v1/sessions"] * 15]
    assert statuses == [200] * 30, statuses
    job = Job.start(victim, "Run `echo went on`.")
    job.wait_until_idle()
    assert job.operations("ops.turn_failed") == []
