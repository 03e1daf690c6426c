"""One PostgreSQL and one Valkey for a test run: `python -m tests.servers DIRECTORY` runs them until its parent dies.

Durability is off: a test run that loses power starts again.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from config import places
from config.services import kernel
from config.services.postgres import Postgres
from config.services.supervisor import Stop, Supervisor
from config.services.valkey import Valkey

ROOT = Path(__file__).resolve().parent.parent
READY = "ready"
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass
class Servers:
    """The running pair. `redis_url(n)` is the n-th of Valkey's sixteen databases."""

    directory: Path
    process: subprocess.Popen[str]

    @property
    def database_url(self) -> str:
        return places.database_url(self.directory)

    def redis_url(self, number: int) -> str:
        return f"{places.redis_url(self.directory).removesuffix('0')}{number % 16}"

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()


def start(directory: Path) -> Servers:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.servers", str(directory)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        preexec_fn=kernel.setup(signal.SIGTERM),
    )
    line = process.stdout.readline() if process.stdout else ""
    if line.strip() != READY:
        raise RuntimeError(f"the test servers did not start; see {directory}/log and the lines above")
    return Servers(directory, process)


def main(directory: Path) -> None:
    services = [Postgres(directory, directory, FAST).service(), Valkey(directory, directory).service()]
    supervisor = Supervisor(directory / "log", directory / "pids.json", lambda line: print(line, file=sys.stderr))
    supervisor.install_signals()
    try:
        supervisor.start(*services)
        supervisor.wait_ready(services, 60)
        print(READY, flush=True)
        supervisor.watch()
    except Stop:
        return
    finally:
        supervisor.stop(["valkey", "postgres"])
        shutil.rmtree(directory, ignore_errors=True)  # here, so that a killed test run leaves nothing either


if __name__ == "__main__":
    main(Path(sys.argv[1]))
