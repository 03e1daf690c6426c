"""Workers are killed while many threads of one session work: all of them go on, and nothing is done twice."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.chaos.inside import verify
from tests.chaos.team import TeamJob, lines

if TYPE_CHECKING:
    from tests.live import Installation

pytestmark = [pytest.mark.live, pytest.mark.sandbox]

CHILDREN, STEPS, KILLS = 5, 4, 4


def test_workers_killed_again_and_again_while_children_work(victim: Installation) -> None:
    job = TeamJob.begin(victim, CHILDREN, STEPS, 0.4)
    job.wait_for("session.thread_created", 1)
    dice = random.Random(7)
    for _ in range(KILLS):
        time.sleep(dice.uniform(0.2, 1.2))  # when it strikes is what is tried out
        victim.kill("worker")
    job.wait_until_idle()
    created, reports = job.reported()
    assert (len(created), created) == (CHILDREN, reports)
    wanted = [line for child in range(CHILDREN) for line in lines(child, STEPS)]
    assert sorted(job.side_effects()) == sorted(wanted)
    assert job.audit() == []
    rests = [event for event in job.events() if event.type == "session.status_idle"]
    assert rests[-1].stop_reason.type == "end_turn"
    assert verify(victim) == ""
