"""Two machines on one database and broker: sessions stay with their sandbox, and outlive the machine that had it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from config import places
from tests.chaos.client import Job
from tests.chaos.inside import verify
from tests.live import Installation, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.live, pytest.mark.sandbox]

KEPT = "/workspace/kept.txt"


@pytest.fixture(scope="module")
def staying() -> Iterator[Installation]:
    """The machine that stays; it has the database and the broker too."""
    with Installation.started(MACHINE="staying", LEASE_SECONDS="1") as running:
        yield running


def drain(installation: Installation, name: str, draining: bool) -> None:
    with psycopg.connect(
        dbname="holdfast", user="holdfast", host=str(places.runtime_dir(installation.data_dir))
    ) as link:
        link.execute("UPDATE agent_sessions_machine SET draining = %s WHERE name = %s", [draining, name])


def test_a_session_goes_on_elsewhere_with_its_workspace_when_its_machine_is_gone_for_good(
    staying: Installation,
) -> None:
    with Installation.started(False, staying, MACHINE="leaving", LEASE_SECONDS="1") as leaving:
        drain(staying, "staying", True)
        job = Job.start(staying, f"Run `echo precious > {KEPT}; echo written`.")
        wait_for(lambda: job.operations("ops.sandbox_snapshot"), 30, "the machine of the sandbox kept no snapshot")
        drain(staying, "staying", False)
        job.say(f"Run `echo second; sleep 600`. Run `cat {KEPT}; echo read`.")
        job.wait_for("agent.tool_use", 2)
        leaving.die()
        job.wait_for_text("agent.tool_result", "precious")
    job.wait_until_idle()
    assert job.audit() == []
    (moved,) = job.operations("ops.sandbox_restored")
    assert (moved["from"], moved["to"], moved["origin"]) == ("leaving", "staying", "restored")
    results = [event.to_json() for event in job.events() if event.type == "agent.tool_result"]
    assert sum("unknown" in result for result in results) == 1, "what ran on the lost machine is told as unknown"
    assert verify(staying) == ""
