"""What `deploy/systemd` says runs, and recovers as the one process tree does."""

from __future__ import annotations

import signal

import pytest

from tests.chaos.apart import UNITS, Apart
from tests.chaos.client import Job, counting_task
from tests.chaos.inside import verify

pytestmark = [pytest.mark.live, pytest.mark.sandbox, pytest.mark.xdist_group("kill")]


def test_the_commands_of_the_units_run_a_session_whose_worker_is_killed_while_others_are_frozen() -> None:
    with Apart.started(WORKERS="2", LEASE_SECONDS="1", HANG_SECONDS="5") as installation:
        job = Job.start(installation, counting_task(6, 0.2))
        job.wait_for("agent.tool_use", 2)
        for role in ("sweeper", "web"):
            installation.kill(role, signal.SIGSTOP)
        installation.kill("worker")
        job.wait_until_idle()
        assert job.audit() == []
        assert len(job.side_effects()) + _unknown(job) == 6
        assert verify(installation) == ""
        services = {name.rstrip("0123456789") for name in installation.all_pids()} - {"postgres", "valkey"}
    units = {
        path.name.removeprefix("holdfast-").removesuffix(".service").rstrip("@") for path in UNITS.glob("*.service")
    }
    assert services == units - {"prepare"}, "a unit was not run"


def _unknown(job: Job) -> int:
    return sum("unknown" in event.to_json() for event in job.events() if event.type == "agent.tool_result")
