"""RabbitMQ beside Valkey as the broker: how many wake-ups go through in a second, and what they take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from config import env
from tests import rabbit
from tests.load.tables import table

if TYPE_CHECKING:
    import argparse

ROOT = Path(__file__).resolve().parent.parent.parent
TOGETHER = 2_000
PATIENCE_SECONDS = 300.0


def run(options: argparse.Namespace) -> str:
    """The same wake-ups through both. Without the system's rabbitmq-server there is only Valkey's row."""
    del options
    runtime = env.load().runtime_dir
    valkey = json.loads((runtime / "pids.json").read_text(encoding="utf-8"))["valkey"]
    rows = {"Valkey": _row(psutil.Process(valkey), {})}
    notes = ["Sent by the product's function and taken off the queue again, without the work that follows."]
    if rabbit.PROGRAM.exists():
        place = tempfile.TemporaryDirectory(prefix="hf-rabbit-", dir="/tmp")
        with place as directory, rabbit.running(Path(directory)) as broker:
            assert broker.process is not None
            rows["RabbitMQ"] = _row(psutil.Process(broker.process.pid), {"TASKS_URL": broker.url})
    else:
        notes.append("There is no rabbitmq-server on this machine.")
    return table("Wake-ups through the broker", ["a second", "ms on the way", "broker, µs of a processor"], rows, notes)


def _row(broker: psutil.Process, settings: dict[str, str]) -> list[str]:
    before = _spent(broker)
    done = subprocess.run(
        [sys.executable, "-m", "tests.load.wakes", str(TOGETHER)],
        cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True, check=True,
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    told = json.loads(done.stdout)
    each = (_spent(broker) - before) * 1e6 / told["count"]
    return [f"{told['rate']:,.0f}", f"{told['way']:.1f}", f"{each:,.0f}"]


def _spent(broker: psutil.Process) -> float:
    """Seconds of a processor of a server and what it started."""
    return float(sum(sum(one.cpu_times()[:2]) for one in [broker, *broker.children(recursive=True)]))
