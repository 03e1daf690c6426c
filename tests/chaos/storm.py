"""Kill random processes of a running installation while sessions work, then audit everything."""

from __future__ import annotations

import collections
import contextlib
import random
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx2
import psutil
import redis

from tests.chaos.client import Job, counting_task
from tests.chaos.inside import left_over, verify
from tests.chaos.team import TeamJob
from tests.chaos.timeline import Entry, Strike, Times
from tests.live import Installation, wait_for

FROZEN = "worker, frozen and thawed"
ROLES = {
    "worker": 12, "sandbox": 2, "web": 2, "egress": 1, "sweeper": 1, "nursery": 1, "valkey": 1, "postgres": 1, FROZEN: 1
}  # fmt: skip
STEP_SECONDS = 0.2
FREEZE_SECONDS = 4.5  # longer than the lease of the installation under attack


@dataclass
class Report:
    """What a storm did and what the audit found; ``complaints`` must be empty."""

    kills: collections.Counter[str] = field(default_factory=collections.Counter)
    strikes: list[Strike] = field(default_factory=list)
    times: Times = field(default_factory=Times)
    sessions: int = 0
    finished: int = 0
    events: int = 0
    calls: int = 0
    unknown: int = 0
    doubled: int = 0
    lost: int = 0
    leases: int = 0
    sandboxes: int = 0
    wake_ups: int = 0
    complaints: list[str] = field(default_factory=list)

    def table(self) -> str:
        """The report as lines for a terminal."""
        rows = [(f"struck: {role}", str(number)) for role, number in sorted(self.kills.items())]
        rows += [
            ("sessions finished", f"{self.finished} of {self.sessions}"),
            ("events", str(self.events)),
            ("tool calls", f"{self.calls}, of which {self.unknown} with an unknown outcome"),
            *sorted(self.times.rows()),
            ("side effects done twice", str(self.doubled)),
            ("side effects lost", str(self.lost)),
            ("leases, sandboxes, wake-ups left over", f"{self.leases}, {self.sandboxes}, {self.wake_ups}"),
            ("complaints", str(len(self.complaints))),
        ]
        return "\n".join([*(f"{name:42} {value}" for name, value in rows), *self.complaints])


def storm(
    installation: Installation,
    *,
    kills: int,
    sessions: int,
    steps: int,
    seed: int,
    interval: float = 0.8,
    children: int = 0,
) -> Report:
    """Start ``sessions`` jobs of ``steps`` counting steps, strike ``kills`` times, ``interval`` seconds apart on
    average, wait, audit. With ``children`` each job is a coordinator's, and the steps are those of each child.
    """

    def begin() -> Job:
        if children:
            return TeamJob.begin(installation, children, steps, STEP_SECONDS)
        return Job.start(installation, counting_task(steps, STEP_SECONDS))

    dice = random.Random(seed)  # a seed repeats a storm
    report = Report(sessions=sessions)
    jobs = working = [begin() for _ in range(sessions)]
    while sum(report.kills.values()) < kills:
        _strike(installation, dice, report, interval)
        working = [job for job in working if not _is_over(job)]
        if not working:
            working = [begin() for _ in range(sessions)]
            jobs = [*jobs, *working]
            report.sessions += sessions
    for job in jobs:
        job.wait_until_idle(60 + steps * 2 * max(1, children))
    for job in jobs:
        _audit(job, steps * max(1, children), report)
    if complaint := verify(installation):
        report.complaints.append(complaint)
    report.complaints += _left_over(installation, report)
    return report


def _strike(installation: Installation, dice: random.Random, report: Report, interval: float) -> None:
    """Kill one process of a random role, at a random moment."""
    role = dice.choices(list(ROLES), weights=list(ROLES.values()))[0]
    time.sleep(dice.uniform(0.1, 2 * interval))
    pids = [pid for pid in installation.pids("worker" if role == FROZEN else role) if psutil.pid_exists(pid)]
    if not pids:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(dice.choice(pids))
        struck = datetime.now(UTC)
        process.suspend() if role == FROZEN else process.kill()
        if role == FROZEN:
            threading.Timer(FREEZE_SECONDS, _thaw, [process]).start()
        report.strikes.append(Strike(role, process.pid, struck))
        report.kills[role] += 1


def _thaw(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.resume()


def _is_over(job: Job) -> bool:
    try:
        return bool(job.api.beta.sessions.retrieve(job.id).status == "idle")
    except Exception:
        return False


def _audit(job: Job, steps: int, report: Report) -> None:
    events = job.events()
    report.events += len(events)
    calls = [event for event in events if event.type == "agent.tool_use"]
    results = [event for event in events if event.type == "agent.tool_result"]
    unknown = sum("unknown" in result.to_json() for result in results)
    report.calls += len(calls)
    report.unknown += unknown
    report.complaints += [f"{job.id}: {complaint}" for complaint in job.audit()]
    effects = job.side_effects()
    done = len(set(effects))
    report.doubled += len(effects) - done
    report.lost += max(0, steps - done - unknown)
    report.finished += bool(_is_over(job))
    if isinstance(job, TeamJob):
        created, heard = job.reported()
        if created != heard:
            report.complaints.append(f"{job.id}: {len(created)} children were started, {len(heard)} reports heard")
    if done + unknown < steps:
        errors = [str(result.content)[:300] for result in results if result.is_error]
        last = sorted(effects, key=lambda line: (len(line), line))[-1:]
        told = f"{steps} steps, {done} done, {unknown} unknown, the last done {last}; errors: {errors}"
        report.complaints.append(f"{job.id}: {told}; the file: {' '.join(effects)}")
    last = [event for event in events if event.type == "session.status_idle"][-1]
    if last.stop_reason.type != "end_turn":
        report.complaints.append(f"{job.id}: ended with {last.stop_reason.type}")
    worked = [Entry(event.type, event.processed_at) for event in events if event.processed_at is not None]
    report.times.note(report.strikes, sorted([*worked, *_marks(job)], key=lambda entry: entry.at))


def _marks(job: Job) -> list[Entry]:
    """The losses and takeovers of workers on a session's log, which the SDK's lists leave out."""
    answer = httpx2.get(
        f"{job.installation.url}/v1/sessions/{job.id}/events",
        params={"types[]": ["ops.worker_lost", "ops.taken_over"], "limit": "1000"},
        headers={"x-api-key": job.installation.api_key},
        timeout=30,
    )
    return [
        Entry(mark["type"], datetime.fromisoformat(mark["processed_at"]), _pid(mark.get("worker") or mark["from"]))
        for mark in answer.raise_for_status().json()["data"]
    ]


def _pid(owner: str) -> int:
    return int(owner.split(":")[1])


def _left_over(installation: Installation, report: Report) -> list[str]:
    """Leases, sandboxes and wake-ups that outlived what they were for."""
    found = left_over(installation)
    report.leases, report.sandboxes = found["leases"], found["sandboxes"]
    complaints = [f"{number} {what} are left over" for what, number in found.items() if number]
    return complaints + _wake_ups(installation, report)


def _wake_ups(installation: Installation, report: Report) -> list[str]:
    environment = installation.environment
    queue = environment.get("INSTANCE_NAME", "holdfast")
    url = environment.get("REDIS_URL")
    if url is None:
        socket = next(iter(installation.data_dir.rglob("valkey.sock")), None)
        if socket is None:
            return []
        url = f"unix://{socket}"
    with redis.Redis.from_url(url) as broker:
        try:
            wait_for(lambda: broker.llen(queue) == 0, 30)
        except AssertionError:
            report.wake_ups = int(broker.llen(queue))
            return [f"{broker.llen(queue)} wake-ups are still queued"]
    return []
