"""RabbitMQ as the task broker: the same sessions, a broker that is killed while they work, a worker that freezes."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests import rabbit
from tests.chaos.client import Job, counting_task
from tests.chaos.inside import verify
from tests.live import Installation, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.live,
    pytest.mark.sandbox,
    pytest.mark.skipif(not rabbit.PROGRAM.exists(), reason="there is no rabbitmq-server here"),
]

STEPS = 4


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[rabbit.Rabbit, Installation]]:
    """A broker, and an installation of two workers that uses it. Each test leaves both at work."""
    with (
        rabbit.running(tmp_path_factory.mktemp("rabbit")) as broker,
        Installation.started(TASKS_URL=broker.url, WORKERS="2") as installation,
    ):
        yield broker, installation


def test_sessions_outlive_a_rabbitmq_that_is_killed_and_comes_back(world: tuple[rabbit.Rabbit, Installation]) -> None:
    broker, installation = world
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


def test_a_frozen_worker_keeps_no_wake_ups_that_it_took(world: tuple[rabbit.Rabbit, Installation]) -> None:
    broker, installation = world
    Job.start(installation, "hello").wait_until_idle()
    closed = broker.output().count("missed heartbeats")
    frozen, _ = installation.pids("worker")
    os.kill(frozen, signal.SIGSTOP)
    jobs = [Job.start(installation, "hello") for _ in range(6)]
    wait_for(lambda: broker.output().count("missed heartbeats") > closed, 60, broker.output)
    for job in jobs:
        job.wait_until_idle()
        assert job.audit() == []
    os.kill(frozen, signal.SIGCONT)
    Job.start(installation, "hello").wait_until_idle()
    assert verify(installation) == ""
