"""A dream whose processes are killed goes on by itself, begins once and ends once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.client import Job, client, counting_task
from tests.chaos.inside import verify
from tests.live import wait_for

if TYPE_CHECKING:
    from tests.live import Installation

pytestmark = [pytest.mark.live, pytest.mark.sandbox]


def test_a_dream_goes_on_when_workers_and_the_sweeper_are_killed(victim: Installation) -> None:
    past = Job.start(victim, counting_task(1, 0.0))
    past.wait_until_idle()
    api = client(victim).beta
    store = api.memory_stores.create(name="Notes")
    steps = "Run `sleep 2; echo one >> /mnt/memory/notes-dream/log.txt`."
    dream = api.dreams.create(
        model="demo",
        inputs=[
            {"type": "memory_store", "memory_store_id": store.id},
            {"type": "sessions", "session_ids": [past.id]},
        ],
        instructions=steps,
    )
    victim.kill("worker")
    wait_for(lambda: api.dreams.retrieve(dream.id).status == "running", 60)
    session_id = api.dreams.retrieve(dream.id).session_id or ""
    wait_for(lambda: len(list(api.sessions.events.list(session_id, types=["agent.tool_use"]))) == 3, 60)
    victim.kill("worker")
    victim.kill("sweeper")
    wait_for(lambda: api.dreams.retrieve(dream.id).status == "completed", 60)
    (output,) = api.dreams.retrieve(dream.id).outputs
    found = api.memory_stores.memories.list(output.memory_store_id, view="full", limit=20)
    assert [one.content for one in found if one.type == "memory"] == ["one\n"]
    named = [one for one in api.sessions.list(include_archived=True) if one.title == "Dream: Notes"]
    assert len(named) == 1
    assert verify(victim) == ""
