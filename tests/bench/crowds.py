"""Hundreds of sessions at once under a model that takes its time: do all finish, how fast, and in how much memory."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psutil

from tests.bench import bare
from tests.bench.burden import Burden
from tests.bench.figures import Figure
from tests.bench.measures import TOOLS
from tests.bench.model import MODEL

if TYPE_CHECKING:
    from tests.bench.measures import Bench

THINKING_SECONDS = 0.5
LOOK_SECONDS = 2.0
PATIENCE_SECONDS = 300.0
TELL_SECONDS = 20.0
AT_ONCE = 16  # requests of ours
BARE_STEPS = 8
PROCESSES = 2  # as there are workers


def many(bench: Bench, sessions: int = 500, each: int = 20) -> list[Figure]:
    """``sessions`` sessions of ``each`` steps: from the first message to the last rest, by the server's clock."""
    agent = bench.client.beta.agents.create(name="Many", model=MODEL, tools=TOOLS).id
    create = bench.client.beta.sessions.create
    with ThreadPoolExecutor(AT_ONCE) as pool:
        made = [pool.submit(create, agent=agent, environment_id=bench.environment_id) for _ in range(sessions)]
        ids = [one.result().id for one in made]
        bench.model.thinking = THINKING_SECONDS
        try:
            burden, begun = Burden(bench.installation), time.time()
            list(pool.map(lambda session: bench.send(session, f"[[demo: steps={each}]]"), ids))
            memory = _until_all_rest(bench, set(ids))
            taken = burden.taken()
            plain = bare.crowd(bench.model.url, sessions // 2, BARE_STEPS, PROCESSES)
        finally:
            bench.model.thinking = 0.0
        found = dict(zip(ids, pool.map(lambda session: _finished_at(bench, session), ids), strict=True))
        ended = [moment for moment in found.values() if moment]
        unfinished = [session for session, moment in found.items() if not moment]
        done = len(ended) * each + sum(pool.map(lambda session: _steps_of(bench, session), unfinished))
    until = max(ended) if len(ended) == sessions else time.time()
    rate = len(ended) * each / (until - begun)
    name = f"{sessions} sessions × {each} steps, a model of {THINKING_SECONDS} s"
    met = rate >= 200 and len(ended) == sessions
    told = f"{len(ended)} of {sessions} finished in {until - begun:.0f} s, {done} of {sessions * each} steps"
    return [
        Figure(name, rate, "steps/s", "≥ 200", met, told),
        Figure(f"  {sessions // 2} bare SDK loops in {PROCESSES} processes, same model, same run", plain, "steps/s"),
        taken.figure(done),
        Figure("  both workers at their most", memory / 1e6, "MB", "≤ 600", memory <= 600e6, "shared pages once"),
    ]


def _finished_at(bench: Bench, session_id: str) -> float | None:
    """When a session had done all its steps, by the server's clock; None if it rests for another reason, or not yet."""
    found = bench.client.beta.sessions.retrieve(session_id)
    latest = bench.client.beta.sessions.events.list(session_id, order="desc", limit=1, types=["session.status_idle"])
    idle: Any = next(iter(latest), None)
    if found.status != "idle" or idle is None or idle.stop_reason.type != "end_turn":
        return None
    return float(idle.processed_at.timestamp())


def _steps_of(bench: Bench, session_id: str) -> int:
    """How many steps a session that did not finish has done."""
    results = bench.client.beta.sessions.events.list(session_id, limit=1000, types=["agent.tool_result"])
    return len(results.data)


def _until_all_rest(bench: Bench, ids: set[str]) -> int:
    """Wait, as long as patience lasts; the bytes that the workers held at their most."""
    most, begun, told = 0, time.monotonic(), 0.0
    while (waited := time.monotonic() - begun) < PATIENCE_SECONDS:
        time.sleep(LOOK_SECONDS)
        pids = bench.installation.pids("worker")
        most = max(most, sum(int(psutil.Process(pid).memory_full_info().pss) for pid in pids))
        busy = bench.client.beta.sessions.list(limit=1, statuses=["running", "rescheduling"]).data
        if not [session for session in busy if session.id in ids]:
            return most
        if waited - told >= TELL_SECONDS:
            told = waited
            print(f"  after {waited:.0f} s they still work", file=sys.stderr, flush=True)
    return most
