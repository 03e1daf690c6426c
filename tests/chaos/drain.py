"""Workers told to end (SIGTERM) while many sessions run: nothing is lost, no finished request is asked again."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from tests.chaos.client import Job, counting_task
from tests.chaos.inside import verify

if TYPE_CHECKING:
    from tests.live import Installation

STEPS = 8


def drain(installation: Installation, sessions: int, times: int = 1) -> list[str]:
    """Start ``sessions`` jobs, tell every worker to end ``times`` times, wait; what is wrong afterwards."""
    jobs = [Job.start(installation, counting_task(STEPS, 0.3)) for _ in range(sessions)]
    jobs[-1].wait_for("agent.tool_use", 1, 120)
    for _ in range(times):
        installation.kill("worker", signal.SIGTERM)
        time.sleep(2)
    complaints = []
    for job in jobs:
        job.wait_until_idle(60 + sessions * 4)
        complaints += [f"{job.id}: {complaint}" for complaint in job.audit()]
        done, asked = len(job.side_effects()), job.count("span.model_request_start")
        if (done, asked) != (STEPS, STEPS + 1):
            complaints.append(f"{job.id}: {done} of {STEPS} steps, {asked} model requests instead of {STEPS + 1}")
    return complaints + [told for told in [verify(installation)] if told]


def main(sessions: int, kind: type[Installation]) -> int:
    """The chaos mode: `DRAIN=50 make chaos`."""
    print(f"{sessions} sessions of {STEPS} steps; both workers are told to end three times meanwhile")
    with kind.started(WORKERS="2", LEASE_SECONDS="3") as installation:
        complaints = drain(installation, sessions, times=3)
    print("\n".join([f"complaints: {len(complaints)}", *complaints]))
    return 1 if complaints else 0
