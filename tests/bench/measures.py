"""What is measured, one function a row or two of the table. Every figure is a median of its own run."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2

from tests.bench import bare, readers
from tests.bench.burden import Burden
from tests.bench.figures import Figure
from tests.bench.model import MODEL
from tests.live import ROOT, wait_for
from tests.sdk.talk import TOOLSET, text

if TYPE_CHECKING:
    from collections.abc import Callable

    import anthropic

    from tests.bench.model import TimedModel
    from tests.live import Installation

TOOLS: list[Any] = [{"type": TOOLSET}]
PATIENCE_SECONDS = 300.0
LOOK_SECONDS = 0.5
WARM_STEPS = 5
WINDOW = 50
TURNS = 5
MOMENT_SECONDS = 0.1


@dataclass
class Bench:
    """An installation under measurement, and the model whose idle times are the overhead."""

    installation: Installation
    model: TimedModel
    client: anthropic.Anthropic
    environment_id: str

    def session(self, model: str = MODEL) -> str:
        agent = self.client.beta.agents.create(name="Bench", model=model, tools=TOOLS)
        return self.client.beta.sessions.create(agent=agent.id, environment_id=self.environment_id).id

    def send(self, session_id: str, message: str) -> None:
        self.client.beta.sessions.events.send(session_id, events=[text(message)])  # type: ignore[list-item]

    def rested_at(self, session_id: str) -> float:
        """When a session last came to rest, by the server's clock."""
        idle = self.client.beta.sessions.events.list(session_id, order="desc", types=["session.status_idle"])
        moment: Any = next(iter(idle)).processed_at
        return float(moment.timestamp())

    def finish(self, *session_ids: str) -> None:
        """Wait until the sessions rest; one question for all of them, seldom enough not to be felt."""

        def rest() -> bool:
            time.sleep(LOOK_SECONDS)
            newest = self.client.beta.sessions.list(limit=100).data
            return all(session.status == "idle" for session in newest if session.id in session_ids)

        wait_for(rest, PATIENCE_SECONDS, "the sessions did not come to rest")


def steps(bench: Bench, count: int) -> list[Figure]:
    """Overhead of a step beside the bare loop, and whether it grows with the conversation."""
    bench.model.forget()
    bare.converse(bare.client_of(bench.model.url), _steps(count))
    plain = list(bench.model.gaps)
    session = bench.session()
    gaps = _gaps(bench, session, count - WINDOW)
    early, late = _by_turns(bench, session)
    gaps += late
    assert len(gaps) == len(plain) == count, "one gap a step"
    ours, theirs = statistics.median(gaps[WARM_STEPS:]), statistics.median(plain[WARM_STEPS:])
    grown = (statistics.median(late) / statistics.median(early) - 1) * 100
    plain_grown = (statistics.median(plain[-WINDOW:]) / statistics.median(plain[WARM_STEPS:][:WINDOW]) - 1) * 100
    cached = _cached(bench, session)
    return [
        Figure("overhead a step", ours, "ms", "≤ 30 ms", ours <= 30, f"p95 {_p95(gaps[WARM_STEPS:]):.1f}"),
        Figure("  bare SDK loop, same model, same run", theirs, "ms"),
        Figure("  ours less bare", ours - theirs, "ms", "≤ +15 ms", ours - theirs <= 15),
        Figure(
            f"overhead, last {WINDOW} of {count} steps to first", grown, "%", "± 10 %", abs(grown) <= 10,
            f"{statistics.median(early):.1f} ms, then {statistics.median(late):.1f}; bare loop {plain_grown:+.0f} %",
        ),
        Figure(f"tokens of the {count} prompts read from the cache", cached, "%", "> 90 %", cached > 90),
    ]  # fmt: skip


def _by_turns(bench: Bench, session_id: str) -> tuple[list[float], list[float]]:
    """Gaps of the first steps of new sessions, and of a long session's last ones, in the same half minute.

    A machine's pace changes within the minutes that lie between a session's first step and its five hundredth. And the
    model thinks for a moment, as any does: else the steps of a short conversation find the processor's caches as the
    step before has left them, those of a long one as the model's server has, which reads the whole prompt beside them.
    """
    early: list[float] = []
    late: list[float] = []
    bench.model.thinking = MOMENT_SECONDS
    try:
        for _ in range(TURNS):
            early += _gaps(bench, bench.session(), WARM_STEPS + WINDOW // TURNS)[WARM_STEPS:]
            late += _gaps(bench, session_id, WINDOW // TURNS)
    finally:
        bench.model.thinking = 0.0
    return early, late


def _gaps(bench: Bench, session_id: str, count: int) -> list[float]:
    """Work on so many more steps in a session; the gap before each of its requests but the first, milliseconds."""
    bench.model.forget()
    bench.send(session_id, _steps(count))
    bench.finish(session_id)
    return list(bench.model.gaps)


def _steps(count: int) -> str:
    return f"[[demo: steps={count}]]"


def _cached(bench: Bench, session_id: str) -> float:
    """The share of a session's prompts that the model's server had in its cache, as the demo counts it by hashes."""
    used: Any = bench.client.beta.sessions.retrieve(session_id).usage
    written = used.cache_creation.ephemeral_5m_input_tokens + used.cache_creation.ephemeral_1h_input_tokens
    return 100.0 * int(used.cache_read_input_tokens) / int(used.cache_read_input_tokens + written + used.input_tokens)


def creates(bench: Bench, count: int = 100) -> list[Figure]:
    """Create a session, beside the cheapest request there is."""
    agent = bench.client.beta.agents.create(name="Bench", model="demo", tools=TOOLS)
    body = {"agent": agent.id, "environment_id": bench.environment_id}
    with httpx2.Client(base_url=bench.installation.url, headers={"x-api-key": bench.installation.api_key}) as http:
        made = _timed(lambda: http.post("/v1/sessions", json=body), count)
        floor = _timed(lambda: http.get("/healthz"), count)
    return [
        Figure("session create", statistics.median(made), "ms", "≤ 15 ms", statistics.median(made) <= 15,
               f"p95 {_p95(made):.1f}"),
        Figure("  GET /healthz, same run", statistics.median(floor), "ms"),
    ]  # fmt: skip


def fan_out(bench: Bench, count: int = 50) -> list[Figure]:
    """Commit to reader, for one and for many readers of a session."""
    one = readers.fan_out(bench.installation, bench.session("demo"), 1, 60, 25)
    many = readers.fan_out(bench.installation, bench.session("demo"), count, 60, 50)
    middle = statistics.median(many)
    return [
        Figure(f"commit to {count} readers", middle, "ms", "≤ 15 ms", middle <= 15, f"p95 {_p95(many):.1f}"),
        Figure("  to one reader", statistics.median(one), "ms", note=f"p95 {_p95(one):.1f}"),
    ]


def crowd(bench: Bench, sessions: int = 20, each: int = 5) -> list[Figure]:
    """Sessions at once, sandboxes included: from the first message to the last rest, by the server's clock."""
    ids = [bench.session("demo") for _ in range(sessions)]
    task = f"[[demo: steps={each}]]"
    burden = Burden(bench.installation)
    with ThreadPoolExecutor(sessions) as pool:
        begun = time.time()
        list(pool.map(lambda session: bench.send(session, task), ids))
    bench.finish(*ids)
    burnt = burden.figure(sessions * each)
    ended = max(bench.rested_at(session) for session in ids)
    rate = sessions * each / (ended - begun)
    return [Figure(f"{sessions} sessions × {each} steps", rate, "steps/s", "≥ 60", rate >= 60), burnt]


def pages(bench: Bench, sessions: int, events: int) -> list[Figure]:
    """First byte of the overview, of the lists and of a long session's page."""
    like = bench.session("demo")
    bench.send(like, "run `echo pattern`")
    bench.finish(like)
    seeded = subprocess.run(
        [sys.executable, "-m", "tests.bench.inside", "seed", like, str(sessions), str(events)],
        cwd=ROOT, env=bench.installation.environment, stdout=subprocess.PIPE, text=True, check=True,
    ).stdout.split()[-1]  # fmt: skip
    with contextlib.closing(bench.installation.signed_in()) as http:
        places = [
            (f"overview, {sessions:,} sessions", "/", 150),
            (f"session list, {sessions:,} sessions", "/sessions/", 150),
            (f"those that are done, {sessions:,} sessions", "/sessions/?status=done", 150),
            (f"search, {sessions:,} sessions", "/sessions/?q=seeded", 150),
            (f"session page, {events:,} events", f"/sessions/{seeded}/", 300),
            *((f"{name}, {sessions:,} sessions", f"/{name}/", 150) for name in ("approvals", "usage", "audit")),
        ]
        return [_page(http, *place) for place in places]


def _page(http: httpx2.Client, name: str, path: str, bar: int) -> Figure:
    taken = _timed(lambda: _first_byte(http, path), 15)
    middle = statistics.median(taken)
    return Figure(f"first byte: {name}", middle, "ms", f"< {bar} ms", middle < bar, f"p95 {_p95(taken):.0f}")


def _first_byte(http: httpx2.Client, path: str) -> httpx2.Response:
    with http.stream("GET", path) as response:
        next(response.iter_raw(1))
        return response


def _timed(request: Callable[[], httpx2.Response], count: int) -> list[float]:
    taken = []
    for number in range(count + WARM_STEPS):
        begun = time.perf_counter()
        response = request()
        spent = (time.perf_counter() - begun) * 1000
        assert response.status_code == 200, f"{response.status_code} {response.url}"
        if number >= WARM_STEPS:
            taken.append(spent)
    return taken


def _p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]


def as_json(figures: list[Figure]) -> str:
    return json.dumps([figure.__dict__ for figure in figures], indent=1)
