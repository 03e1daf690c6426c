"""What a run of tests makes once and copies: a migrated database, and the data directory of a new installation.

`python -m tests.prepared` fills the DATA_DIR of its environment and ends. Migrating takes seconds of a processor; a
copy takes none, so that many databases and installations cost as much as one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from config import env
from config.services import up
from config.services.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
AVAILABLE = "HOLDFAST_TEST_DIRECTORY" in os.environ  # within a run of tests; benchmarks start from nothing
LEFT_OUT = ("log", "run", "up.lock", "up.out")


def run_directory() -> Path:
    return Path(os.environ["HOLDFAST_TEST_DIRECTORY"])


def once(name: str, make: Callable[[], None]) -> None:
    """Have one process of the run do something; the others wait for it."""
    done = run_directory() / f"{name}.done"
    with done.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            make()
            done.touch()


def migrate_template() -> None:
    """The database that every process's own is a copy of."""
    once("migrated", lambda: _manage("migrate", "--skip-checks", "-v", "0"))


def _manage(*arguments: str) -> None:
    subprocess.run([sys.executable, str(ROOT / "manage.py"), *arguments], cwd=ROOT, check=True, timeout=300)


def copy_installation(data: Path, environment: dict[str, str]) -> None:
    """Fill `data` with a stopped installation's directory, migrated and seeded; its address and port are anybody's."""
    made = run_directory() / "installation"
    once("installation", lambda: _make(made, environment))
    # Owner, times and modes as they are: PostgreSQL may run under another user id.
    subprocess.run(["cp", "-a", "--reflink=auto", f"{made}/.", str(data)], check=True, timeout=120)


def _make(directory: Path, environment: dict[str, str]) -> None:
    directory.mkdir(mode=0o711)
    found = {**environment, "DATA_DIR": str(directory)}
    subprocess.run([sys.executable, "-m", "tests.prepared"], cwd=ROOT, env=found, check=True, timeout=300)


@contextlib.contextmanager
def servers() -> Iterator[Path]:
    """Database and broker of this environment's DATA_DIR, migrated and seeded: nobody sweeps, and nobody works."""
    holdfast = env.load()
    supervisor = Supervisor(holdfast.data_dir / "log", holdfast.runtime_dir / "pids.json", lambda line: None)
    supervisor.install_signals()
    embedded = up.embedded(holdfast)
    try:
        supervisor.start(*embedded)
        supervisor.wait_ready(embedded, up.START_SECONDS)
        up.prepare(holdfast, supervisor)
        yield holdfast.data_dir
    finally:
        supervisor.stop(*up.STOP_ORDER)


def main() -> None:
    with servers() as directory:
        pass
    for name in LEFT_OUT:
        path = directory / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
