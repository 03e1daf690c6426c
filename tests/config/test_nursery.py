"""The nursery: what it has loaded must be safe to share, and nobody but the supervisor may have it fork."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from config.services import kernel
from config.services.forked import Nursery
from config.services.service import Service
from tests.live import ROOT, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOOK = """
import json, os, threading
from config.services import nursery
nursery.load()
places = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
links = [os.readlink(place) for place in places if os.path.lexists(place)]
print(json.dumps({"threads": threading.active_count(), "open": [link for link in links if not link.startswith("/")]}))
"""


def environment(tmp_path: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "data"), "DJANGO_SETTINGS_MODULE": "config.settings"}


def test_loading_the_application_starts_no_thread_and_opens_no_connection(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=120,
        check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["threads"] == 1
    assert all(link.startswith("pipe:") for link in found["open"]), "only what we gave it"


@pytest.fixture(scope="module")
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Nursery, Path]]:
    """A nursery whose supervisor is this process."""
    directory = tmp_path_factory.mktemp("nursery")
    path = directory / "s"
    argv = [sys.executable, "-m", "config.services.nursery", "--socket", str(path)]
    kernel.adopt_orphans()
    with subprocess.Popen(argv, cwd=ROOT, env=environment(directory), preexec_fn=kernel.setup(signal.SIGKILL)) as run:
        wait_for(path.exists, 120)
        yield Nursery(path), directory
        run.kill()
    kernel.adopt_orphans(False)


def test_a_fork_is_our_child_and_tells_how_it_ended(supervised: tuple[Nursery, Path]) -> None:
    nursery, directory = supervised
    program = directory / "program.py"
    program.write_text("import os, sys; print(os.getppid(), os.getpid() == os.getsid(0), sys.argv[1]); sys.exit(3)")
    service = Service(name="x", argv=[sys.executable, program, "word"], cwd=ROOT, env={}, forked=True)
    forked = nursery.fork(service)
    assert forked is not None
    assert forked.stdout is not None
    assert forked.stdout.readall().split() == [str(os.getpid()).encode(), b"True", b"word"]  # type: ignore[attr-defined]
    wait_for(lambda: forked.poll() is not None, 10)
    assert forked.returncode == 3
    forked.stdout.close()


def test_a_killed_fork_says_so(supervised: tuple[Nursery, Path]) -> None:
    nursery, directory = supervised
    program = directory / "sleeper.py"
    program.write_text("import time; time.sleep(600)")
    forked = nursery.fork(Service(name="x", argv=[sys.executable, program], cwd=ROOT, env={}, forked=True))
    assert forked is not None
    assert forked.poll() is None
    forked.send_signal(signal.SIGKILL)
    wait_for(lambda: forked.poll() is not None, 10)
    assert forked.returncode == -signal.SIGKILL
    assert forked.stdout is not None
    forked.stdout.close()


def test_nobody_else_may_ask(supervised: tuple[Nursery, Path]) -> None:
    nursery, _ = supervised
    code = f"""
import os
from pathlib import Path
from config.services.forked import Nursery
from config.services.service import Service
print(Nursery(Path({str(nursery.path)!r})).fork(Service(name="x", argv=["python", "y.py"], cwd=Path("/"), env={{}})))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "None"


def test_a_nursery_that_is_away_forks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as gone:
        gone.bind(str(path))
    assert Nursery(path).fork(Service(name="x", argv=["python", "y.py"], cwd=ROOT, env={})) is None
