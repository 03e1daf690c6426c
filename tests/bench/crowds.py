"""Hundreds of sessions at once under a model that takes its time: do all finish, how fast, and in how much memory."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psutil

from tests.bench.measures import TOOLS, Figure
from tests.bench.model import MODEL

if TYPE_CHECKING:
    from tests.bench.measures import Bench

THINKING_SECONDS = 0.5
LOOK_SECONDS = 2.0
PATIENCE_SECONDS = 900.0
AT_ONCE = 16  # requests of ours


def many(bench: Bench, sessions: int = 500, each: int = 20) -> list[Figure]:
    """``sessions`` sessions of ``each`` steps: from the first message to the last rest, by the server's clock."""
    agent = bench.client.beta.agents.create(name="Many", model=MODEL, tools=TOOLS).id
    create = bench.client.beta.sessions.create
    with ThreadPoolExecutor(AT_ONCE) as pool:
        made = [pool.submit(create, agent=agent, environment_id=bench.environment_id) for _ in range(sessions)]
        ids = [one.result().id for one in made]
        bench.model.thinking = THINKING_SECONDS
        try:
            begun = time.time()
            list(pool.map(lambda session: bench.send(session, f"[[demo: steps={each}]]"), ids))
            memory = _until_all_rest(bench, set(ids))
        finally:
            bench.model.thinking = 0.0
        ended = list(pool.map(bench.rested_at, ids))
    rate = sessions * each / (max(ended) - begun)
    name = f"{sessions} sessions × {each} steps, a model of {THINKING_SECONDS} s"
    return [
        Figure(name, rate, "steps/s", "≥ 200", rate >= 200, f"all {len(ended)} finished"),
        Figure(
            "  both workers at their most", memory / 1e6, "MB", "≤ 600", memory <= 600e6, "shared pages counted once"
        ),
    ]


def _until_all_rest(bench: Bench, ids: set[str]) -> int:
    """Wait; the bytes that the workers held at their most."""
    most, deadline = 0, time.monotonic() + PATIENCE_SECONDS
    while True:
        time.sleep(LOOK_SECONDS)
        pids = bench.installation.pids("worker")
        most = max(most, sum(int(psutil.Process(pid).memory_full_info().pss) for pid in pids))
        busy = bench.client.beta.sessions.list(limit=1, statuses=["running", "rescheduling"]).data
        if not [session for session in busy if session.id in ids]:
            return most
        assert time.monotonic() < deadline, "the sessions did not come to rest"
