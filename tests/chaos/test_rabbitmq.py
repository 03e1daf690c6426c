"""RabbitMQ as the task broker: the same sessions, and a broker that is killed while they work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import rabbit
from tests.chaos.client import Job, counting_task
from tests.chaos.inside import verify
from tests.live import Installation

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.live,
    pytest.mark.sandbox,
    pytest.mark.skipif(not rabbit.PROGRAM.exists(), reason="there is no rabbitmq-server here"),
]

STEPS = 4


def test_sessions_outlive_a_rabbitmq_that_is_killed_and_comes_back(tmp_path: Path) -> None:
    with rabbit.running(tmp_path) as broker, Installation.started(TASKS_URL=broker.url) as installation:
        under_way = Job.start(installation, counting_task(STEPS, 0.5))
        under_way.wait_for("agent.tool_use", 1)
        broker.kill()
        waiting = Job.start(installation, counting_task(STEPS, 0.1))
        under_way.wait_until_idle()
        broker.start()
        for job in (under_way, waiting):
            job.wait_until_idle()
            assert job.audit() == []
            assert len(job.side_effects()) == STEPS
        assert verify(installation) == ""
