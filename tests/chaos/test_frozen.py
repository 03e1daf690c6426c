"""Processes are frozen, not killed, and never thawed: the supervisor finds out, and the session goes on by itself."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.chaos.client import Job, counting_task
from tests.chaos.inside import verify
from tests.live import Installation, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.live, pytest.mark.sandbox, pytest.mark.xdist_group("kill")]


@pytest.fixture(scope="module")
def watched() -> Iterator[Installation]:
    with Installation.started(WORKERS="2", LEASE_SECONDS="2", HANG_SECONDS="5") as running:
        yield running


def taken_for_dead(installation: Installation) -> list[str]:
    lines = installation.output().splitlines()
    return [line.split()[2].rstrip("0123456789") for line in lines if "has said nothing" in line]


@dataclass
class Frozen:
    """Processes of these roles that were stopped while a session works."""

    job: Job
    roles: tuple[str, ...]

    def __post_init__(self) -> None:
        self.before = len(taken_for_dead(self.job.installation))
        self.pids = [pid for role in self.roles for pid in self.job.installation.kill(role, signal.SIGSTOP)]

    def finish(self, steps: int) -> None:
        """Each has a successor, nothing else was taken for dead, and nothing was lost or done twice."""
        installation = self.job.installation
        self.job.wait_until_idle()
        assert self.job.audit() == []
        unknown = sum("unknown" in event.to_json() for event in self.job.events() if event.type == "agent.tool_result")
        assert len(self.job.side_effects()) + unknown >= steps
        assert verify(installation) == ""
        wait_for(lambda: not set(self.pids) & set(installation.all_pids().values()), 60, installation.output)
        assert set(taken_for_dead(installation)[self.before :]) == set(self.roles)
        assert len(taken_for_dead(installation)[self.before :]) == len(self.pids), "each is told once"
        installation.wait_ready()


def begin(installation: Installation) -> Job:
    job = Job.start(installation, counting_task(4, 0.5))
    job.wait_for("agent.tool_use", 2)
    return job


def test_a_frozen_sweeper_gets_a_successor_that_finds_what_a_dead_worker_left(watched: Installation) -> None:
    job = begin(watched)
    frozen = Frozen(job, ("sweeper",))
    watched.kill("worker")
    frozen.finish(4)
    assert job.operations("ops.taken_over"), "the person sees it"


def test_frozen_workers_are_ended_and_the_turn_is_taken_over(watched: Installation) -> None:
    job = begin(watched)
    Frozen(job, ("worker", "nursery")).finish(4)
    assert job.operations("ops.taken_over")


def test_a_frozen_sandbox_host_web_server_and_egress_proxy_stop_nothing(watched: Installation) -> None:
    job = begin(watched)
    Frozen(job, ("sandbox", "egress", "web")).finish(4)


def test_a_frozen_database_and_broker_stop_nothing(watched: Installation) -> None:
    Frozen(begin(watched), ("postgres", "valkey")).finish(4)
