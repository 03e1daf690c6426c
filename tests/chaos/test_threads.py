"""Workers are killed while many threads of one session work: all of them go on, and nothing is done twice."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.chaos.client import COUNT, Job, client, verify
from tests.live import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.live, pytest.mark.sandbox, pytest.mark.xdist_group("kill")]

CHILDREN, STEPS, KILLS = 4, 4, 4


@pytest.fixture(scope="module")
def victim() -> Iterator[Installation]:
    with Installation.started(WORKERS="2", LEASE_SECONDS="3") as running:
        yield running


def task(child: int) -> str:
    lines = (f"child-{child}-{step}" for step in range(STEPS))
    return " ".join(f"Run `echo {line} >> /mnt/session/outputs/{COUNT}; sleep 0.4; echo {line}`." for line in lines)


def lead(installation: Installation) -> Job:
    """A session whose agent starts the children all at once."""
    api = client(installation)
    tools = [{"type": "agent_toolset_20260401"}]
    worker = api.beta.agents.create(name="worker", model="demo", tools=tools)  # type: ignore[arg-type]
    agent = api.beta.agents.create(name="Lead", model="demo", multiagent={"type": "coordinator", "agents": [worker.id]})
    given = [{"agent": "worker", "message": task(number)} for number in range(CHILDREN)]
    started = " ".join(f"Use ant__start_agent with {json.dumps(one)}." for one in given) + " in parallel"
    session = api.beta.sessions.create(
        agent=agent.id,
        environment_id=next(iter(api.beta.environments.list())).id,
        initial_events=[{"type": "user.message", "content": [{"type": "text", "text": started}]}],
    )
    return Job(installation, api, session.id)


def test_workers_killed_again_and_again_while_children_work(victim: Installation) -> None:
    job = lead(victim)
    job.wait_for("session.thread_created", 1)
    dice = random.Random(7)
    for _ in range(KILLS):
        time.sleep(dice.uniform(0.2, 1.2))  # when it strikes is what is tried out
        victim.kill("worker")
    job.wait_until_idle()
    events = job.events()
    created = [event.session_thread_id for event in events if event.type == "session.thread_created"]
    reports = [event.from_session_thread_id for event in events if event.type == "agent.thread_message_received"]
    assert (len(created), sorted(created)) == (CHILDREN, sorted(reports))
    wanted = [f"child-{child}-{step}" for child in range(CHILDREN) for step in range(STEPS)]
    assert sorted(job.side_effects()) == sorted(wanted)
    assert job.audit() == []
    assert events[-1].type == "session.status_idle" and events[-1].stop_reason.type == "end_turn"
    assert verify(victim) == ""
