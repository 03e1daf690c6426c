"""Many agents in one session, beside one agent that does the same kind of step alone."""

from __future__ import annotations

import statistics
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tests.bench.burden import Burden
from tests.bench.figures import Figure
from tests.bench.measures import TOOLS
from tests.sdk.talk import text

if TYPE_CHECKING:
    from tests.bench.measures import Bench

# As JSON spells it, so that the agent that starts the others does not take the directive for its own.
DIRECTIVE = "[\\u005bdemo: steps={steps}]]"
START = 'Use ant__start_agent with {{"agent": "worker", "message": "{message}"}}.'


def team(bench: Bench, children: int = 25, each: int = 10) -> list[Figure]:
    """Steps a second of ``children`` threads of one session and one sandbox, and the time between two steps of one."""
    alone = bench.session("demo")
    bench.send(alone, f"[[demo: steps={children * each // 5}]]")
    bench.finish(alone)
    lead = _lead(bench)
    message = DIRECTIVE.format(steps=each)
    task = " ".join(START.format(message=message) for _ in range(children)) + " in parallel"
    burden, begun = Burden(bench.installation), time.time()
    bench.client.beta.sessions.events.send(lead, events=[text(task)])  # type: ignore[list-item]
    bench.finish(lead)
    burnt = burden.figure(children * each)
    threads = [thread.id for thread in bench.client.beta.sessions.threads.list(lead) if thread.parent_thread_id]
    calls = [_calls(bench, lead, thread) for thread in threads]
    ended = max(moment for moments in calls for moment in moments)
    single = _calls(bench, alone, next(iter(bench.client.beta.sessions.threads.list(alone))).id)
    rate, single_rate = sum(map(len, calls)) / (ended - begun), (len(single) - 1) / (single[-1] - single[0])
    return [
        Figure(f"{children} children × {each} steps, one session", rate, "steps/s"),
        burnt,
        Figure("  one thread alone, same run", single_rate, "steps/s"),
        Figure("  a step of one of them, to the next", statistics.median(g for one in calls for g in _gaps(one)), "ms"),
        Figure("  a step of the thread alone, to the next", statistics.median(_gaps(single)), "ms"),
    ]


def _lead(bench: Bench) -> str:
    worker = bench.client.beta.agents.create(name="worker", model="demo", tools=TOOLS)
    team: Any = {"type": "coordinator", "agents": [worker.id]}
    agent = bench.client.beta.agents.create(name="Lead", model="demo", tools=TOOLS, multiagent=team)
    return bench.client.beta.sessions.create(agent=agent.id, environment_id=bench.environment_id).id


def _calls(bench: Bench, session_id: str, thread_id: str) -> list[float]:
    """When each tool call of a thread had its result, by the server's clock."""
    events = bench.client.beta.sessions.threads.events.list(thread_id, session_id=session_id)
    return [event.processed_at.timestamp() for event in events if event.type == "agent.tool_result"]


def _gaps(moments: list[float]) -> list[float]:
    return [(after - before) * 1000 for before, after in pairwise(moments)]
