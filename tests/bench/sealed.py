"""What sealing costs: steps, events and snapshots of a sealing installation beside those of a plain one."""

from __future__ import annotations

import dataclasses
import json
import statistics
import subprocess
import sys
from typing import Any

from tests.bench.figures import Figure
from tests.bench.measures import WARM_STEPS, Bench
from tests.live import ROOT, Installation
from tests.sdk.talk import client_of

ROUNDS = 3


def sealed(bench: Bench, count: int) -> list[Figure]:
    """``ROUNDS`` conversations of ``count`` steps in each of the two, alternating so that both bear the same load."""
    settings = {**_told(bench.installation.environment), "SEAL_EVENTS": "1", "SEAL_SNAPSHOTS": "1"}
    with Installation.started(**settings) as other:
        client = client_of(other)
        environment = client.beta.environments.create(name="Bench", config={"type": "cloud"})
        sealing = dataclasses.replace(bench, installation=other, client=client, environment_id=environment.id)
        gaps: dict[bool, list[float]] = {False: [], True: []}
        sizes: dict[bool, Any] = {}
        for _ in range(ROUNDS):
            for seals, one in ((False, bench), (True, sealing)):
                session = _talk(one, count)
                gaps[seals] += one.model.gaps[WARM_STEPS:]
                sizes[seals] = _inside(one, "sizes", session)
        speeds = _inside(sealing, "speeds")
    return _figures(gaps, sizes, speeds)


def _figures(gaps: dict[bool, list[float]], sizes: dict[bool, Any], speeds: Any) -> list[Figure]:
    usual, sealing = (statistics.median(gaps[seals]) for seals in (False, True))
    return [
        Figure("overhead a step, sealed", sealing, "ms", note=f"{len(gaps[True])} steps"),
        Figure("  plain, turn by turn in the same run", usual, "ms", note=f"{len(gaps[False])} steps"),
        Figure("  sealed less plain", sealing - usual, "ms"),
        Figure("an event in the table, sealed", sizes[True]["bytes"], "bytes", note=f"{sizes[True]['events']} events"),
        Figure("  plain", sizes[False]["bytes"], "bytes", note=f"{sizes[False]['events']} events"),
        Figure("an event sealed and opened, 2,000 characters", speeds["event"], "µs"),
        Figure("a snapshot sealed", speeds["seal"], "MB/s"),
        Figure("  opened", speeds["open"], "MB/s"),
        Figure("  a plain one read", speeds["plain"], "MB/s"),
    ]


def _talk(bench: Bench, count: int) -> str:
    session = bench.session()
    bench.model.forget()
    bench.send(session, f"[[demo: steps={count}]]")
    bench.finish(session)
    assert len(bench.model.gaps) == count, "one gap a step"
    return session


def _inside(bench: Bench, *arguments: str) -> Any:
    command = [sys.executable, "-m", "tests.bench.inside", *arguments]
    environment = bench.installation.environment
    return json.loads(subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True).stdout)


def _told(environment: dict[str, str]) -> dict[str, str]:
    return {name: environment[name] for name in ("WORKERS", "WORKER_THREADS", "MODEL_BASE_URL", "MODEL_API_KEY")}
