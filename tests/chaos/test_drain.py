"""SIGTERM to a worker while sessions work: nothing is lost and no finished request is asked again."""

from __future__ import annotations

import signal

import pytest

from tests.chaos.client import Job, counting_task, verify
from tests.live import Installation

pytestmark = [pytest.mark.live, pytest.mark.sandbox, pytest.mark.xdist_group("kill")]

STEPS = 8


def test_workers_told_to_end_hand_their_sessions_over() -> None:
    with Installation.started(WORKERS="2") as installation:
        jobs = [Job.start(installation, counting_task(STEPS, 0.3)) for _ in range(6)]
        jobs[-1].wait_for("agent.tool_use", 2)
        installation.kill("worker", signal.SIGTERM)
        for job in jobs:
            job.wait_until_idle()
            assert job.audit() == []
            assert len(job.side_effects()) == STEPS
            assert job.count("span.model_request_start") == STEPS + 1
        assert verify(installation) == ""
